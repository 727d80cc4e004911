package dashboard

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
)

// bundle is the page. Its sources are in web/src; TestBundleIsCurrent tells when it is stale.
//
//go:embed web/index.html web/dist/app.js web/dist/app.css
var bundle embed.FS

// page has one field, the nonce of the styles that the terminal makes.
var page = template.Must(template.ParseFS(bundle, "web/index.html"))

// policy of the page: what is not listed is refused. https://www.w3.org/TR/CSP3/
func policy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	nonce := newSecret()[:32]
	var text bytes.Buffer
	if err := page.Execute(&text, struct{ Nonce string }{nonce}); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Security-Policy", policy(nonce))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(text.Bytes()) // the client is gone if it fails
}

func serveAssets() http.Handler {
	assets, err := fs.Sub(bundle, "web/dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	files := http.StripPrefix("/assets/", http.FileServerFS(assets))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // another version may have the same address
		files.ServeHTTP(w, req)
	})
}
