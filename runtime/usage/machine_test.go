package usage

import "testing"

func TestMachineTellsWhatIsLeft(t *testing.T) {
	if fs, err := FilesystemOf(t.TempDir()); err != nil || fs.Bytes == 0 || fs.FreeBytes > fs.Bytes || fs.FreeInodes > fs.Inodes {
		t.Errorf("filesystem %+v, %v", fs, err)
	}
	if _, err := FilesystemOf("/no/such/path"); err == nil {
		t.Error("a path that is not there has a filesystem")
	}
	if free, err := FreeMemory(); err != nil || free <= 0 {
		t.Errorf("free memory %d, %v", free, err)
	}
	if running, most, err := Tasks(); err != nil || running <= 0 || most <= running {
		t.Errorf("%d tasks of %d, %v", running, most, err)
	}
}
