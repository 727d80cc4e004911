package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// readSwaps reads the files a and b of a volume, over and over, until both are of the last version; it leaves as its
// last words how many versions it saw. A file is its version, repeated. One that is torn, missing or of another version
// than the other is an error, unless the volume was swapped between the two looks.
func readSwaps(volume, last string) error {
	versions := map[string]bool{}
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		before, err := os.Readlink(filepath.Join(volume, "..data"))
		if err != nil {
			return err
		}
		a, errA := readVersion(filepath.Join(volume, "a"))
		b, errB := readVersion(filepath.Join(volume, "b"))
		after, err := os.Readlink(filepath.Join(volume, "..data"))
		if err != nil {
			return err
		}
		err = errors.Join(errA, errB)
		swapped := before != after
		if err != nil && !(swapped && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
		if err == nil && a != b && !swapped {
			return fmt.Errorf("a is of version %s, b of %s", a, b)
		}
		if versions[a] = true; a == last && b == last {
			return os.WriteFile("/dev/termination-log", fmt.Appendf(nil, "%d versions", len(versions)), 0o644)
		}
	}
	return fmt.Errorf("version %s never came: %v", last, versions)
}

// readVersion is the version that all of a file says.
func readVersion(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(content))
	if len(words) != 2000 || len(slices.Compact(words)) != 1 {
		return "", fmt.Errorf("%s is torn: %d words", path, len(words))
	}
	return words[0], nil
}
