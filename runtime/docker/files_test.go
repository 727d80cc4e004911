package docker

import "testing"

func TestSmallFilesOfAnImageAreReadAndNoContainerStays(t *testing.T) {
	d := newDockerTest(t)
	spec := ContainerSpec{Name: d.unique + "-texts", Image: d.image, Labels: d.labels}
	// The engine itself makes /etc/hostname, and /etc/mtab a link to what is no file of the image.
	texts, err := d.ImageTexts(t.Context(), spec, "/talker", "/etc/hostname", "/none", "/etc/mtab")
	if err != nil || len(texts) != 2 || len(texts["/talker"]) != textLimit {
		t.Errorf("read %d files, %d bytes of the first, %v", len(texts), len(texts["/talker"]), err)
	}
	if _, err := d.ImageTexts(t.Context(), spec, "/etc"); err == nil {
		t.Error("a directory was read")
	}
	if left, err := d.List(t.Context(), d.labels); err != nil || len(left) != 0 {
		t.Errorf("left behind: %+v, %v", left, err)
	}
	spec.Image = d.unique + "-none"
	if _, err := d.ImageTexts(t.Context(), spec, "/talker"); !IsNotFound(err) {
		t.Errorf("a missing image: %v", err)
	}
}
