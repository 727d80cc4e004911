package manifest

import (
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
)

// Texts that an archive in testdata cannot hold: line ends, byte order marks, tabs, control characters.
func TestTexts(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	tests := []struct{ name, text, want string }{
		{"CRLF", "apiVersion: v1\r\nkind: Pod\r\nmetadata: {name: a}\r\n---\r\nkind: Pod\r\nmetadata: {name: b}\r\n",
			"f:5:1: apiVersion: missing (did you mean \"v1\"?)\n"},
		{"UTF-8 byte order mark", "\ufeffkind: Pod\napiVersion: v1\nmetadata: {name: a}\nspecs: {}\n",
			"f:4:1: specs: unknown field (did you mean \"spec\"?)\n"},
		{"UTF-16", "\xff\xfek\x00i\x00n\x00d\x00:\x00 \x00P\x00\n\x00",
			"f:1:1: apiVersion: missing\nf:1:1: metadata.name: missing\nf:1:7: kind: unknown kind \"P\"\n"},
		{"no UTF-8, which kubectl mends", head + "data: {a: \"\xff\"}\n", ""},
		{"a tab as indentation", head + "data:\n\ta: b\n", "f:5:1: a tab cannot indent in YAML: use spaces\n"},
		{"a tab after an item", head + "data:\n  a: b\n\t c: d\n", "f:6:1: a tab cannot indent in YAML: use spaces\n"},
		{"tabs in JSON", "{\n\t\"kind\":\t\"Pod\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"a\"}}", ""},
		{"control character", head + "data: {a: \"\x01\"}\n", "f:4:1: control characters are not allowed\n"},
		{"nothing", "", ""},
		{"blanks", " \n\n  \n", ""},
		{"comments", "# a\n---\n# b\n--- # c\n", ""},
		{"null", "null\n---\n~\n", ""},
		{"characters, not bytes", head + "data: {ü: ä, ö: 1}\n", "f:4:17: data[ö]: must be a string, got a number: quote it: \"1\"\n"},
		{"a long value", head + "data: {a: {" + "b: c}, d: 11111111111111111111111111111111111111111111111111}\n",
			"f:4:11: data[a]: must be a string, got a mapping\n" +
				"f:4:22: data[d]: must be a string, got a number: quote it: \"1111111111111111111111111111111111111111…\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs, problems := Parse("f", []byte(tt.text))
			problems = append(problems, Check(docs, Rules{Scheme: scheme.Scheme})...)
			got := ""
			for _, p := range problems {
				got += p.String() + "\n"
			}
			if got != tt.want {
				t.Errorf("got:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}

// Problems come in the order in which the files were named, and a file that is named twice is faulty once.
func TestTheOrderOfFilesIsKept(t *testing.T) {
	wrong := []byte("apiVersion: v1\nkind: Pod\nspecs: {}\nmetadata: {name: a, nam: b}\n")
	broken := []byte("a: b\n c: d\n")
	files := []File{{"z", wrong}, {"b", broken}, {"a", wrong}, {"z", wrong}}
	got := ""
	for _, p := range CheckFiles(files, Rules{Scheme: scheme.Scheme}) {
		got += p.File + " " + p.Path + "\n"
	}
	if want := "z specs\nz metadata.nam\nb \na specs\na metadata.nam\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
