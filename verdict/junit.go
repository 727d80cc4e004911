package verdict

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The elements of JUnit's XML that CI systems read: https://github.com/testmoapp/junitxml
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Skipped *struct{}     `xml:"skipped,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the results as JUnit XML: a suite for objects and one for checks, a case for each.
func WriteJUnit(w io.Writer, results []Result, took time.Duration) error {
	doc := junitSuites{Name: "kube-lite", Time: seconds(took)}
	for _, group := range []string{Objects, Checks} {
		if suite := junitOf(group, results); suite.Tests > 0 {
			doc.Suites = append(doc.Suites, suite)
			doc.Tests, doc.Failures = doc.Tests+suite.Tests, doc.Failures+suite.Failures
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return fmt.Errorf("JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitOf(group string, results []Result) junitSuite {
	suite, total := junitSuite{Name: group}, time.Duration(0)
	for _, r := range results {
		if r.Group != group {
			continue
		}
		c := junitCase{Name: r.Name, Class: "kube-lite." + group, Time: seconds(r.Took), Output: printable(r.Text)}
		if r.Namespace != "" {
			c.Class += "." + r.Namespace
		}
		switch {
		case r.Failed:
			c.Failure = &junitFailure{Message: printable(r.Text), Text: printable(r.Detail)}
			suite.Failures++
		case r.Skipped:
			c.Skipped = &struct{}{}
			suite.Skipped++
		}
		suite.Tests++
		total = max(total, r.Took) // they go on side by side
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(total)
	return suite
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// printable takes out what XML cannot carry, such as the escapes of colours in logs.
// https://www.w3.org/TR/xml/#charsets
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || c < ' ' && c != '\n' && c != '\t' || c == 0xFFFE || c == 0xFFFF {
			return -1
		}
		return c
	}, s)
}
