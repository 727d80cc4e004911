// Package dashboard serves a page to look at an instance: its objects live, why they are not well, their logs, a terminal.
//
// It owns the page's server, on a loopback address, and who is logged in. Whoever asks the API server for a login (Handler) gets a link
// that is good once, for a minute; the page makes a session of it, which has the rights of the user who asked, no more: everything that
// the page does is a request to the Kubernetes API as this user, and RBAC decides. There is no listener before the first login, and none
// after the last session has ended, so a page that nobody looks at costs nothing.
//
// The token of a session is in no cookie: programs on other ports of the same address would get it, and so would requests that other sites
// make. The page sends it as a header, which only its own origin can, and keeps it where only its own origin can read it. Requests for
// other hosts than this machine's are refused, so a name that was bound anew to a loopback address leads nowhere.
//
//	room := dashboard.New(dashboard.Options{Connect: server.Connect, About: about, Log: log})
//	server.Handle(apiserver.DashboardPath, room.Handler())
//	err := room.Run(ctx)
//
// The page itself is in web: TypeScript, with preact and xterm.js. `go generate ./dashboard` bundles it into web/dist, which is committed.
package dashboard

//go:generate npm --prefix web ci --no-audit --no-fund --ignore-scripts
//go:generate npm --prefix web run check
//go:generate go run ./build web
