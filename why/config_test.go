package why

import "testing"

const settings = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
data: {user: c2hvcA==}
`

func TestReferencesOfTheEnvironment(t *testing.T) {
	const waits = `state: {waiting: {reason: CreateContainerConfigError, message: "something is not there"}}`
	from := func(source string) string { return `, env: [{name: A, valueFrom: {` + source + `}}]` }
	checkAll(t, []fact{
		{name: "a ConfigMap", ask: "pod/web", state: Broken, says: `variable A of container web needs the ConfigMap "setings", which does not exist; there is "settings"`, mends: "name the ConfigMap settings there",
			api: onNode(waits, from("configMapKeyRef: {name: setings, key: greeting}")) + settings},
		{name: "a key of a ConfigMap", ask: "pod/web", state: Broken, says: `the key "greting" of the ConfigMap "settings", which has no such key; there is "greeting"`,
			api: onNode(waits, from("configMapKeyRef: {name: settings, key: greting}")) + settings},
		{name: "a Secret like no other", ask: "pod/web", state: Broken, says: `needs the Secret "tokens", which does not exist`, mends: "kube-lite create secret generic tokens --from-literal=api=VALUE",
			api: onNode(waits, from("secretKeyRef: {name: tokens, key: api}")) + settings},
		{name: "a key of a Secret", ask: "pod/web", state: Broken, says: `the key "password" of the Secret "login", which has no such key`, mends: `kube-lite patch secret login --type=merge -p '{"stringData":{"password":"VALUE"}}'`,
			api: onNode(waits, from("secretKeyRef: {name: login, key: password}")) + settings},
		{name: "all of a ConfigMap", ask: "pod/web", state: Broken, says: `the environment of container web needs the ConfigMap "defaults", which does not exist`,
			api: onNode(waits, ", envFrom: [{configMapRef: {name: defaults}}]") + settings},
		{name: "an optional one is not missed", ask: "pod/web", state: Broken, says: "container web cannot be made: something is not there",
			api: onNode(waits, from("secretKeyRef: {name: tokens, key: api, optional: true}")) + settings},
		{name: "root", ask: "pod/web", state: Broken, says: `container web may not run as root (runAsNonRoot), and its image "shop/web:1.0" names no other user by number`,
			api: onNode(`state: {waiting: {reason: CreateContainerConfigError, message: "container has runAsNonRoot and image will run as root"}}`, "")},
	})
}

func TestVolumesOfPodsThatWereNotStarted(t *testing.T) {
	pod := func(volumes, status string) string {
		return node + settings + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node, volumes: [` + volumes + `], containers: [{name: web}]}
status: {phase: Pending, podIP: 10.0.0.2, containerStatuses: [{name: web, ` + status + `}]}
`
	}
	const creating = `state: {waiting: {reason: ContainerCreating}}`
	checkAll(t, []fact{
		{name: "a ConfigMap", ask: "pod/web", state: Broken, says: `volume v needs the ConfigMap "setting", which does not exist; there is "settings"`, api: pod(`{name: v, configMap: {name: setting}}`, creating)},
		{name: "a file of a Secret", ask: "pod/web", state: Broken, says: `volume v needs the key "pass" of the Secret "login", which has no such key`,
			api: pod(`{name: v, secret: {secretName: login, items: [{key: pass, path: pass}]}}`, creating)},
		{name: "one of several sources", ask: "pod/web", state: Broken, says: `volume v needs the Secret "tokens", which does not exist`,
			api: pod(`{name: v, projected: {sources: [{configMap: {name: settings}}, {secret: {name: tokens}}]}}`, creating)},
		{name: "what its node says", ask: "pod/web", state: Broken, says: `its volume "v" cannot be mounted: hostPath type check failed: /x is not a directory`,
			api: pod(`{name: v, hostPath: {path: /x, type: Directory}}`, creating) + event("web", "FailedMount", `MountVolume.SetUp failed for volume "v" : hostPath type check failed: /x is not a directory`)},
		{name: "what it said before the pod ran", ask: "pod/web", state: Waiting, says: "is not ready yet",
			api: pod(`{name: v, hostPath: {path: /x}}`, `state: {running: {startedAt: "2026-01-01T11:00:00Z"}}`) + event("web", "FailedMount", `MountVolume.SetUp failed for volume "v" : not yet`)},
		{name: "a claim that does not exist", ask: "pod/web", state: Broken, says: `volume v needs the PersistentVolumeClaim "data", which does not exist`, api: pod(`{name: v, persistentVolumeClaim: {claimName: data}}`, creating)},
	})
}

func TestClaimsWithoutAVolume(t *testing.T) {
	claim := func(spec, status string) string {
		return `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 5Gi}}` + spec + `}
status: {phase: ` + status + `}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard}
provisioner: disks.example.com
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: late}
provisioner: disks.example.com
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: old}
spec: {storageClassName: attic, capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], claimRef: {name: data, namespace: ns}}
`
	}
	checkAll(t, []fact{
		{name: "bound", ask: "pvc/data", state: OK, says: "has the volume old, of 5Gi", api: claim(", volumeName: old", "Bound, capacity: {storage: 5Gi}")},
		{name: "lost", ask: "pvc/data", state: Broken, says: "the PersistentVolume gone does not exist any more", api: claim(", volumeName: gone", "Lost")},
		{name: "no default class", ask: "pvc/data", state: Broken, says: "names no StorageClass, and none is marked as the default", api: claim("", "Pending")},
		{name: "no such class", ask: "pvc/data", state: Broken, says: `its StorageClass "standart" does not exist; there is "standard"`, api: claim(", storageClassName: standart", "Pending")},
		{name: "by hand, and too small", ask: "pvc/data", state: Broken, says: `of the PersistentVolumes of class "attic" none fits`, api: claim(", storageClassName: attic", "Pending")},
		{name: "by hand, and none there", ask: "pvc/data", state: Broken, says: "asks for a PersistentVolume made by hand, and there is none without a class", api: claim(`, storageClassName: ""`, "Pending")},
		{name: "no such volume", ask: "pvc/data", state: Broken, says: `wants the PersistentVolume "odl", which does not exist; there is "old"`, api: claim(", volumeName: odl", "Pending")},
		{name: "waits for a pod", ask: "pvc/data", state: Waiting, says: "gets its volume when the first pod uses it, and no pod does", api: claim(", storageClassName: late", "Pending")},
		{name: "waits for a pod that waits", ask: "pvc/data", state: Broken, says: "it asks for 8 cpu, and node node has 2 (2 free)", api: claim(", storageClassName: late", "Pending") + node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: data}}], containers: [{name: web, resources: {requests: {cpu: 8}}}]}
status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", message: "0/1 nodes are available: 1 Insufficient cpu."}]}`},
		{name: "the provisioner fails", ask: "pvc/data", state: Broken, says: "the provisioner disks.example.com cannot make one: disk full", api: claim(", storageClassName: standard", "Pending") + event("data", "ProvisioningFailed", "disk full")},
		{name: "no provisioner", ask: "pvc/data", state: Broken, says: `has them made by "disks.example.com", which has not said that it is at work`,
			api: claim(", storageClassName: standard", "Pending") + event("data", "ExternalProvisioning", "waiting for a volume to be created")},
		{name: "a provisioner at work", ask: "pvc/data", state: Waiting, says: "its volume is being made by disks.example.com",
			api: claim(", storageClassName: standard", "Pending") + event("data", "ExternalProvisioning", "waiting") + event("data", "Provisioning", "at work")},
		{name: "deleted in use", ask: "pvc/data", state: Broken, says: "stays while a pod uses it: web", api: `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, deletionTimestamp: "2026-01-01T11:59:00Z", finalizers: [kubernetes.io/pvc-protection]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}`},
	})
}
