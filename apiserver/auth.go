package apiserver

import (
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
)

// newAuthenticator knows a client by its certificate (the common name is the
// user, the organisations are the groups) or by a token: a ServiceAccount's, or
// that of a room of this process. Who shows neither is system:anonymous, who may
// ask whether the server is well and which version it is, and what bindings grant.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/
func newAuthenticator(pki *PKI, byToken authenticator.Token) authenticator.Request {
	// A token that is wrong is an error, also where anybody may ask.
	return union.NewFailOnError(
		group.NewAuthenticatedGroupAdder(union.New(
			newClientCertificates(pki.ca.cert, pki.now), bearertoken.New(byToken), websocket.NewProtocolAuthenticator(byToken))),
		anonymous.NewAuthenticator(nil),
	)
}
