package dns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// recordsOf are the reply's records without their headers, and its code if that is no success.
func recordsOf(m *dns.Msg) string {
	var all []string
	if m.Rcode != dns.RcodeSuccess {
		all = append(all, dns.RcodeToString[m.Rcode])
	}
	for _, rr := range m.Answer {
		all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(all, " ")
}

func TestNamesOfHostsFilesAreServedAsTheyChange(t *testing.T) {
	own, more := filepath.Join(t.TempDir(), "hosts"), filepath.Join(t.TempDir(), "more")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(own, "127.0.0.1 localhost App.Test\n127.0.1.1 laptop\n::1 localhost ip6-loopback\n203.0.113.7 db.test db # mine\n2001:db8::7 db.test\nnonsense\n203.0.113.8\n203.0.113.9 bad..name\n203.0.113.9 good.test\n")
	write(more, "203.0.113.8 db.test more.test\n203.0.113.8 more.test\n203.0.113.66 sub.localhost\n")
	c := newCluster(t, Options{HostsFiles: []string{own, more}}, nil)
	c.start()
	for question, want := range map[string]string{
		"DB.test. A": "203.0.113.7 203.0.113.8", "db.test. AAAA": "2001:db8::7", "db. A": "203.0.113.7", "db. AAAA": "", "db. TXT": "",
		"more.test. A": "203.0.113.8", "app.test. A": "127.0.0.1", "laptop. A": "127.0.0.1", // where this server answers
		"localhost. A": "127.0.0.1", "localhost. AAAA": "::1", "sub.localhost. A": "127.0.0.1", "any.sub.localhost. AAAA": "::1",
		"7.113.0.203.in-addr.arpa. PTR": "db.test.", "8.113.0.203.in-addr.arpa. PTR": "db.test.",
		"9.113.0.203.in-addr.arpa. PTR": "good.test.",
		"ip6-loopback. AAAA":            "SERVFAIL", "other.test. A": "SERVFAIL", // there is no upstream
	} {
		got := recordsOf(c.ask("udp", question))
		if first, second, ok := strings.Cut(got, " "); ok && second+" "+first == want {
			got = want // they begin at a random one
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", question, got, want)
		}
	}
	write(own, "203.0.113.9 db.test\n")
	if err := os.Remove(more); err != nil {
		t.Fatal(err)
	}
	c.eventually("the change is served", func() bool {
		return recordsOf(c.ask("udp", "db.test. A")) == "203.0.113.9" && recordsOf(c.ask("udp", "more.test. A")) == "SERVFAIL"
	})
}
