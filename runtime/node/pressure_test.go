package node

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
)

func TestPressureIsAKubeletsButNotForTheDiskOfALaptop(t *testing.T) {
	memory := func(n int64) Available { return Available{Memory: &n} }
	tasks := func(n int64) Available { return Available{Tasks: &n} }
	disk := func(size, free, inodes, freeInodes uint64) *usage.Filesystem {
		return &usage.Filesystem{Bytes: size, FreeBytes: free, Inodes: inodes, FreeInodes: freeInodes}
	}
	const gb, none = 1 << 30, v1.NodeConditionType("")
	for _, c := range []struct {
		what string
		left Available
		want v1.NodeConditionType
	}{
		{"nothing is known", Available{}, none},
		{"enough memory", memory(100 << 20), none},
		{"little memory", memory(100<<20 - 1), v1.NodeMemoryPressure},
		{"enough processes", tasks(1000), none},
		{"few processes", tasks(999), v1.NodePIDPressure},
		{"a laptop's disk that is 99 % full", Available{NodeFs: disk(1000*gb, 10*gb, 1e8, 1e7), ImageFs: disk(1000*gb, 10*gb, 1e8, 1e7)}, none},
		{"the pods' disk is full", Available{NodeFs: disk(1000*gb, gb-1, 1e8, 1e7)}, v1.NodeDiskPressure},
		{"the images' disk is full", Available{ImageFs: disk(1000*gb, 2*gb-1, 1e8, 1e7)}, v1.NodeDiskPressure},
		{"a tenth of a small disk", Available{NodeFs: disk(8*gb, gb*82/100, 1e6, 1e5)}, none},
		{"less than a tenth of a small disk", Available{NodeFs: disk(8*gb, gb*79/100, 1e6, 1e5)}, v1.NodeDiskPressure},
		{"few inodes", Available{NodeFs: disk(8*gb, 4*gb, 1e6, 4e4)}, v1.NodeDiskPressure},
		{"a twentieth of very many inodes", Available{NodeFs: disk(1000*gb, 400*gb, 1e9, 2e5)}, none},
		{"a filesystem that counts no inodes", Available{NodeFs: disk(8*gb, 4*gb, 0, 0)}, none},
	} {
		for _, p := range pressureTexts {
			if got := c.left.under(p.kind); got != (p.kind == c.want) {
				t.Errorf("%s: %s is %v", c.what, p.kind, got)
			}
		}
	}
}
