// Package hostdns has the programs of this machine find the names of a cluster: it leads the machine's own resolver to the
// cluster's DNS server, and takes that back without a trace.
//
// It owns one routing domain of systemd-resolved on an instance's pod bridge, or two lines of /etc/resolv.conf with the
// original kept beside it. Which of the two, the machine's resolv.conf says. It answers no question itself, knows nothing of
// Kubernetes, and changes no file that another program writes: then it says which program that is.
//
// # Use
//
//	machine := hostdns.Machine{}                 // one change at a time, whichever instance it is for: the caller sees to it
//	how, err := machine.Enable(ctx, hostdns.Cluster{Instance: "default", Link: "kl-default", Domain: "cluster.local", Server: …})
//	note, err := machine.Disable(ctx, cluster)   // note: what could not be put back as it was
//
// All instances have the same domain, so one of them has it on a machine: Enable refuses while another one does.
package hostdns
