package apiserver

import (
	"context"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
)

// nodeUserPrefix is that of node agents.
// https://kubernetes.io/docs/reference/access-authn-authz/node/
const nodeUserPrefix = "system:node:"

// identities are the users as which the rooms of this process connect through memory. Each has a random bearer token,
// which is known to the process only and ends with it.
type identities struct {
	// base connects to the server as nobody. The transport is shared: a connection is no user's own.
	base   *rest.Config
	tokens sync.Map // string to user.Info
}

// newIdentities are those of clients that connect as loopback does.
func newIdentities(loopback *rest.Config) (*identities, error) {
	nobody := rest.AnonymousClientConfig(loopback)
	nobody.Dial = loopback.Dial
	transport, err := rest.TransportFor(nobody)
	if err != nil {
		return nil, err
	}
	base := rest.CopyConfig(loopback)
	base.Dial, base.Transport, base.BearerToken = nil, transport, ""
	return &identities{base: base}, nil
}

// config connects a client as the user of this name.
func (i *identities) config(name string) *rest.Config {
	config, _ := i.connect(userNamed(name))
	return config
}

// connect connects a client as a user, until it is released.
func (i *identities) connect(as user.Info) (config *rest.Config, release func()) {
	token := string(uuid.NewUUID())
	i.tokens.Store(token, as)
	config = rest.CopyConfig(i.base)
	config.BearerToken = token
	return config, func() { i.tokens.Delete(token) }
}

// AuthenticateToken is authenticator.Token's. As on the loopback connection, such a user is good for any audience.
func (i *identities) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	known, ok := i.tokens.Load(token)
	if !ok {
		return nil, false, nil
	}
	response := &authenticator.Response{User: known.(user.Info)}
	response.Audiences, _ = authenticator.AudiencesFrom(ctx)
	return response, true, nil
}

// userNamed is in the groups that a user of this name is always in.
func userNamed(name string) user.Info {
	if namespace, account, err := serviceaccount.SplitUsername(name); err == nil {
		return serviceaccount.UserInfo(namespace, account, "")
	}
	info := &user.DefaultInfo{Name: name}
	if strings.HasPrefix(name, nodeUserPrefix) {
		info.Groups = []string{user.NodesGroup}
	}
	return info
}
