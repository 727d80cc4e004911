package volume

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"
)

// MountMemory mounts a tmpfs of at most that many bytes, on a directory that is there. Kernels
// from 6.4 can keep it out of swap: it may hold secrets.
// https://docs.kernel.org/filesystems/tmpfs.html
func MountMemory(path string, size int64) error {
	options := fmt.Sprintf("size=%d", size)
	err := unix.Mount("tmpfs", path, "tmpfs", 0, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("tmpfs", path, "tmpfs", 0, options)
	}
	if err != nil {
		return fmt.Errorf("mount a tmpfs of %d bytes at %s: %w", size, path, err)
	}
	return nil
}

// MountHugePages mounts a filesystem whose files lie in huge pages of that size, such as 2Mi, on
// a directory that is there. It is an error if the kernel knows no pages of that size.
// https://docs.kernel.org/admin-guide/mm/hugetlbpage.html
func MountHugePages(path string, size resource.Quantity) error {
	if err := unix.Mount("nodev", path, "hugetlbfs", 0, fmt.Sprintf("pagesize=%d", size.Value())); err != nil {
		return fmt.Errorf("mount huge pages of %s at %s: %w", size.String(), path, err)
	}
	return nil
}
