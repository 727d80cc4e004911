// Package spec says in Docker's words what a Pod declares of its containers: process, namespaces, user and groups,
// security, resources, runtime.
//
// A Builder builds the specification of a sandbox (Sandbox) and of a container in its namespaces. The container's is
// built in three steps: Container translates what is declared, VerifyNonRoot and Confine look at the image, at Docker's
// runtimes and at what this machine has of seccomp, AppArmor and SELinux.
//
//	sandbox, err := builder.Sandbox(pod, attempt, address)
//	made := builder.Container(pod, c, attempt, sandboxID, env, mounts)
//	err = builder.Confine(ctx, &made, pod, c)
//
// What a Pod asks for and does not get is said here too. Enforceable has the Pod rejected when it would run less safely
// than it asks. Unsupported names the fields that are ignored; a test walks through the API's type and insists that each
// field is either done or in that table.
//
// The package knows neither which containers there are nor who starts them; it writes nothing and keeps nothing. Where
// the environment and the mounts come from is package files' business.
package spec
