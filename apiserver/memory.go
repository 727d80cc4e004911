package apiserver

import (
	"context"
	"net"

	"google.golang.org/grpc/test/bufconn"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
)

// memoryBuffer is how many bytes a connection through memory holds before its
// writer waits, in each direction: some dozen objects in protobuf.
const memoryBuffer = 64 << 10

// memoryListener accepts connections from within the process.
type memoryListener struct{ *bufconn.Listener }

func newMemoryListener() *memoryListener {
	return &memoryListener{bufconn.Listen(memoryBuffer)}
}

// clientConfig connects a client to the listener. The generic server accepts
// its random bearer token as a member of system:masters.
func (m *memoryListener) clientConfig() *rest.Config {
	return &rest.Config{
		Host: "http://kube-lite",
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return m.DialContext(ctx)
		},
		BearerToken:        string(uuid.NewUUID()),
		QPS:                -1, // no limit: the callers are ours
		DisableCompression: true,
		ContentConfig: rest.ContentConfig{
			ContentType:        runtime.ContentTypeProtobuf,
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
		},
	}
}

// dropManagedFields keeps the field managers' books out of the informers: no
// controller reads them, and they are a third of a typical object. An update
// without them leaves the stored ones as they are.
func dropManagedFields(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil && accessor.GetManagedFields() != nil {
		accessor.SetManagedFields(nil)
	}
	return obj, nil
}
