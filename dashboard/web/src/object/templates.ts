// What the dialog for a new object begins with.

export const templates: { kind: string; text: string }[] = [
  {
    kind: 'Deployment',
    text: `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
        - name: web
          image: nginx
          ports:
            - containerPort: 80
`,
  },
  {
    kind: 'Service',
    text: `apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
    - port: 80
      targetPort: 80
`,
  },
  {
    kind: 'Ingress',
    text: `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
spec:
  rules:
    - host: web.localhost
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: web
                port:
                  number: 80
`,
  },
  {
    kind: 'ConfigMap',
    text: `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  key: value
`,
  },
  {
    kind: 'Secret',
    text: `apiVersion: v1
kind: Secret
metadata:
  name: credentials
stringData:
  password: ""
`,
  },
  {
    kind: 'PersistentVolumeClaim',
    text: `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Gi
`,
  },
  {
    kind: 'Job',
    text: `apiVersion: batch/v1
kind: Job
metadata:
  name: once
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: once
          image: busybox
          command: [sh, -c, "echo hello"]
`,
  },
  {
    kind: 'Namespace',
    text: `apiVersion: v1
kind: Namespace
metadata:
  name: shop
`,
  },
];
