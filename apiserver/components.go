package apiserver

import (
	"k8s.io/kubernetes/pkg/probe"
	"k8s.io/kubernetes/pkg/registry/core/componentstatus"
)

// componentStatuses answers `kubectl get componentstatuses` with the names that it has in a cluster. Controllers and
// scheduler are healthy where anything answers: the daemon ends when one of them does. The store is healthy while it
// can be written, which storeReady says.
func componentStatuses(storeReady func() error) *componentstatus.REST {
	runs := component(func() error { return nil })
	return componentstatus.NewStorage(func() map[string]componentstatus.Server {
		return map[string]componentstatus.Server{
			"controller-manager": runs, "scheduler": runs, "etcd-0": component(storeReady),
		}
	})
}

// component is a componentstatus.Server that a function checks.
type component func() error

// DoServerCheck is componentstatus.Server's.
func (check component) DoServerCheck() (probe.Result, string, error) {
	if err := check(); err != nil {
		return probe.Failure, "", err
	}
	return probe.Success, "ok", nil
}
