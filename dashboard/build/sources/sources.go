// Package sources says what the page of the dashboard is made of, so that its build can note it and a test can tell whether the bundle
// in the repository is of the sources beside it. It reads files, writes none, and knows nothing of how they are bundled.
//
//	sum, err := sources.Digest(os.DirFS("web"))
package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
)

// Digest is one SHA-256, in hex, of all files that the bundle depends on, with their names.
func Digest(web fs.FS) (string, error) {
	names := []string{"package.json", "package-lock.json", "tsconfig.json"}
	err := fs.WalkDir(web, "src", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		text, err := fs.ReadFile(web, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(text))
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
