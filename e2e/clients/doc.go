// Package clients proves kube-lite with programs that are written for any Kubernetes: Helm and operators built with
// controller-runtime. They bring a newer release of Kubernetes' modules than kube-lite has, so this is a module of its
// own: nothing of them reaches the binary. Like package e2e, which is the place of all other end-to-end tests, it uses an
// instance of its own from the outside, and runs only with KUBE_LITE_E2E=1 and as root; KUBE_LITE_BIN names the binary.
package clients
