package verdict

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

func TestWriteJUnit(t *testing.T) {
	var b strings.Builder
	err := WriteJUnit(&b, []Result{
		{Group: Objects, Name: "Deployment web", Namespace: "shop", Took: 1500 * time.Millisecond, Text: "2 of 2 pods ready"},
		{Group: Objects, Name: "Job migrate", Namespace: "shop", Took: time.Second, Text: "has failed", Failed: true, Detail: "✗ \x1b[31m<no> & such\x00 table"},
		{Group: Checks, Name: "GET http://web/ -> 200", Skipped: true},
	}, 3*time.Second)
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="kube-lite" tests="3" failures="1" time="3.000">
  <testsuite name="objects" tests="2" failures="1" skipped="0" time="1.500">
    <testcase name="Deployment web" classname="kube-lite.objects.shop" time="1.500">
      <system-out>2 of 2 pods ready</system-out>
    </testcase>
    <testcase name="Job migrate" classname="kube-lite.objects.shop" time="1.000">
      <failure message="has failed">✗ [31m&lt;no&gt; &amp; such table</failure>
      <system-out>has failed</system-out>
    </testcase>
  </testsuite>
  <testsuite name="checks" tests="1" failures="0" skipped="1" time="0.000">
    <testcase name="GET http://web/ -&gt; 200" classname="kube-lite.checks" time="0.000">
      <skipped></skipped>
    </testcase>
  </testsuite>
</testsuites>
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
	if err := xml.Unmarshal([]byte(b.String()), new(junitSuites)); err != nil {
		t.Error(err)
	}
}
