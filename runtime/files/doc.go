// Package files makes what containers find in their Pod's directory and in their variables.
//
// The directory of a Pod has its /etc/hosts and resolv.conf, the volumes that are made for it (emptyDir in its media, and
// those whose files come from ConfigMaps, Secrets, the downward API and tokens), the parts of volumes that are mounted
// alone, and its containers' termination messages. Files is the owner of all that.
//
//	warnings, err := f.WriteResolvConf(pod)
//	has, err = f.Project(ctx, pod, volume, has)     // writes what changed
//	env, err := f.Environment(ctx, pod, c, ips)
//	mounts, err := f.Mounts(pod, c, env, claims)    // in Docker's words
//	err = f.DropVolumes(pod.UID)                    // when it is over
//
// References finds ConfigMaps and Secrets and tells of those that changed, Tokens requests ServiceAccount tokens and
// renews them, Claims finds the PersistentVolume behind a volume and knows which Pods use it. What is missing is told as
// a MountError or a ClaimErrors, in a kubelet's words.
//
// The package reads the API and writes below the Pods' directories. It knows neither the engine nor who works on a Pod:
// when to look again and whom to tell is for others. Package volume does the work on the disk.
package files
