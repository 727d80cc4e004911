package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/probe"
)

// askGRPC speaks the gRPC health protocol, without TLS as a kubelet.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
func askGRPC(ctx context.Context, g *v1.GRPCAction, timeout time.Duration, t Target) (Result, string) {
	address := net.JoinHostPort(t.Host, strconv.Itoa(int(g.Port)))
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUserAgent(userAgent("probe")),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return probe.ProbeDialer().DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		return Unknown, err.Error()
	}
	defer conn.Close()
	service := ""
	if g.Service != nil {
		service = *g.Service
	}
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return Failure, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + status.Convert(err).Message()
	case codes.DeadlineExceeded:
		return Failure, fmt.Sprintf("timeout: health rpc did not complete within %v", timeout)
	case codes.Unavailable:
		return Failure, fmt.Sprintf("error: failed to connect service at %q: %s", address, status.Convert(err).Message())
	default:
		return Failure, fmt.Sprintf("error: health rpc probe failed: %v", err)
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return Failure, fmt.Sprintf("service unhealthy (responded with %q)", answer.GetStatus())
	}
	return Success, "service healthy"
}
