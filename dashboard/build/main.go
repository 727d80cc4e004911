// Command build bundles the page of the dashboard, with esbuild's Go API: web/src into web/dist, minified, and what it was made of
// into web/dist/sources.sha256, by which a test tells whether the bundle is current.
//
//	go run ./build web
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/kube-lite/kube-lite/dashboard/build/sources"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: build DIRECTORY")
		os.Exit(2)
	}
	if err := bundle(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func bundle(dir string) error {
	result := api.Build(api.BuildOptions{
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: filepath.Join(dir, "src", "main.tsx"), OutputPath: "app"},
		},
		Outdir: filepath.Join(dir, "dist"), Bundle: true, Write: true,
		Target: api.ES2022, Format: api.FormatIIFE, Platform: api.PlatformBrowser, Charset: api.CharsetUTF8,
		JSX: api.JSXAutomatic, JSXImportSource: "preact",
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, LegalComments: api.LegalCommentsEndOfFile,
		LogLevel: api.LogLevelWarning,
	})
	if len(result.Errors) > 0 {
		return fmt.Errorf("%d errors in the page's sources", len(result.Errors))
	}
	sum, err := sources.Digest(os.DirFS(dir))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "dist", "sources.sha256"), []byte(sum+"\n"), 0o644)
}
