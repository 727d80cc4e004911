package spec

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// supportedFields are what the agent does, by JSON path below spec; a path stands for
// all below it, unless a row of the table of unsupported fields is more exact.
var supportedFields = []string{
	"containers[]", "initContainers[]", "ephemeralContainers[]", "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds",
	"dnsPolicy", "dnsConfig", "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace",
	"os", "hostname", "hostnameOverride", "subdomain", "hostAliases", "readinessGates", "nodeName",
	"securityContext.runAsUser", "securityContext.runAsGroup", "securityContext.supplementalGroups",
	"runtimeClassName", // an event says when Docker has no such runtime
	"hostUsers", "setHostnameAsFQDN", "imagePullSecrets", "securityContext.supplementalGroupsPolicy", "securityContext.seLinuxChangePolicy",
	"securityContext.fsGroup", "securityContext.fsGroupChangePolicy", "securityContext.sysctls",
	"securityContext.seccompProfile", "securityContext.appArmorProfile", "securityContext.runAsNonRoot", "securityContext.seLinuxOptions",
	"volumes[].name", "volumes[].image", "volumes[].emptyDir", "volumes[].hostPath", "volumes[].configMap", "volumes[].secret",
	"volumes[].downwardAPI", "volumes[].persistentVolumeClaim", "volumes[].ephemeral", "volumes[].projected.defaultMode", "volumes[].projected.sources[].configMap",
	"volumes[].projected.sources[].secret", "volumes[].projected.sources[].downwardAPI",
	// The same thing under an older name.
	"serviceAccount", "serviceAccountName", "automountServiceAccountToken", "volumes[].projected.sources[].serviceAccountToken",
	// The scheduler's.
	"nodeSelector", "affinity", "tolerations", "schedulerName", "topologySpreadConstraints", "schedulingGates",
	"priority", "priorityClassName", "preemptionPolicy", "workloadRef", "schedulingGroup",
	"enableServiceLinks", "resources", "overhead",
}

var supportedContainerFields = []string{
	"terminationMessagePath", "name", "image", "command", "args", "workingDir", "ports", "envFrom", "imagePullPolicy", "stdin", "stdinOnce", "tty",
	"env[].name", "env[].value", "env[].valueFrom.fieldRef", "env[].valueFrom.resourceFieldRef",
	"env[].valueFrom.configMapKeyRef", "env[].valueFrom.secretKeyRef", "env[].valueFrom.fileKeyRef", "volumeMounts[].recursiveReadOnly",
	"resources.limits", "resources.requests", "resizePolicy", "restartPolicy",
	"volumeMounts[].name", "volumeMounts[].readOnly", "volumeMounts[].mountPath", "volumeMounts[].subPath",
	"volumeMounts[].subPathExpr", "volumeMounts[].mountPropagation", "lifecycle", "livenessProbe", "readinessProbe",
	"volumeDevices", // an event says that there are none, and the Pod waits
	"startupProbe", "restartPolicyRules", "terminationMessagePolicy",
	"securityContext.capabilities", "securityContext.privileged", "securityContext.runAsUser", "securityContext.runAsGroup",
	"securityContext.procMount", "securityContext.readOnlyRootFilesystem", "securityContext.allowPrivilegeEscalation",
	"securityContext.seccompProfile", "securityContext.appArmorProfile", "securityContext.runAsNonRoot", "securityContext.seLinuxOptions",
}

func TestEveryFieldOfThePodSpecIsDoneOrNamed(t *testing.T) {
	var ofPod, container []string
	for _, f := range unsupportedFields {
		ofPod = append(ofPod, f.path)
	}
	for _, f := range unsupportedContainerFields {
		container = append(container, f.path)
	}
	checkFields(t, reflect.TypeFor[v1.PodSpec](), "", append(ofPod, supportedFields...))
	checkFields(t, reflect.TypeFor[v1.Container](), "", append(container, supportedContainerFields...))
}

// checkFields descends into a type until each field is covered by a listed path.
func checkFields(t *testing.T, kind reflect.Type, at string, listed []string) {
	for n := range kind.NumField() {
		field := kind.Field(n)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		inner := field.Type
		path := strings.TrimPrefix(at+"."+name, ".")
		if field.Anonymous { // inlined
			path = at
		}
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Slice {
			path, inner = path+"[]", inner.Elem()
		}
		bare := strings.TrimSuffix(path, "[]")
		switch {
		case path != at && (slices.Contains(listed, path) || slices.Contains(listed, bare)):
		case inner.Kind() == reflect.Struct && (path == at || hasBelow(listed, path)):
			checkFields(t, inner, path, listed)
		default:
			t.Errorf("spec field %s is neither done nor named as unsupported", path)
		}
	}
}

func hasBelow(listed []string, path string) bool {
	return slices.ContainsFunc(listed, func(l string) bool { return strings.HasPrefix(l, path+".") })
}

func TestUnsupportedFieldsAreNamedWithTheirPlace(t *testing.T) {
	yes, path := true, "/dev/termination-log"
	limit := resource.MustParse("1Gi")
	pod := &v1.Pod{Spec: v1.PodSpec{
		EnableServiceLinks: &yes, ServiceAccountName: "default", HostUsers: &yes,
		Containers: []v1.Container{
			{Name: "plain", TerminationMessagePath: path, TerminationMessagePolicy: v1.TerminationMessageReadFile},
			{
				Name:      "limited",
				Resources: v1.ResourceRequirements{Limits: v1.ResourceList{v1.ResourceEphemeralStorage: limit}},
			},
		},
		Volumes: []v1.Volume{
			{Name: "plain", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}},
			{Name: "memory", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory, SizeLimit: &limit}}},
			{Name: "remote", VolumeSource: v1.VolumeSource{NFS: &v1.NFSVolumeSource{Server: "x", Path: "/"}}},
		},
	}}
	want := []string{
		"spec.volumes[2].nfs",
	}
	if got := Unsupported(pod); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
