package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// databases are two of PostgreSQL, declared with nothing that helps them with their directories: they run as the
// image's own user, set no fsGroup, and no init container changes an owner. A machine at its limit takes more than a
// second to run pg_isready, and what is not ready has no name.
const databases = `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - name: postgres
        image: kube-lite-test/postgres:15
        imagePullPolicy: Never
        env: [{name: PGDATA, value: /var/lib/postgresql/data}]
        readinessProbe: {exec: {command: [pg_isready]}, periodSeconds: 1, timeoutSeconds: 10}
        volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 100Mi}}}
`

// Each step writes a row and each later one still finds it: a database loses nothing, and gets its own directory back.
func TestDatabasesOfAStatefulSetKeepTheirRows(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := i.newNamespace(t, "databases")
	ns.apply(t, databases)
	ns.must(t, "rollout", "status", "statefulset/db", "--timeout=120s")
	for _, pod := range []string{"db-0", "db-1"} {
		ns.psql(t, pod, "CREATE TABLE notes (id serial, pod text, after text)")
	}
	var rows []string
	check := func(t *testing.T, after string) {
		t.Helper()
		rows = append(rows, after)
		for _, pod := range []string{"db-0", "db-1"} {
			ns.waitForDatabase(t, pod)
			ns.psql(t, pod, fmt.Sprintf("INSERT INTO notes (pod, after) VALUES ('%s', '%s')", pod, after))
			want := pod + "|" + strings.Join(rows, "\n"+pod+"|")
			if got := ns.psql(t, pod, "SELECT pod, after FROM notes ORDER BY id"); got != want {
				t.Errorf("after %s, %s has\n%s\nwant\n%s", after, pod, got, want)
			}
		}
	}
	check(t, "its creation")

	t.Run("the other's name leads to it", func(t *testing.T) {
		if got := ns.must(t, "exec", "db-0", "--", "psql", "--host=db-1.db", "--tuples-only", "--no-align", "--command=SELECT DISTINCT pod FROM notes"); got != "db-1\n" {
			t.Errorf("at db-1.db, rows are of %q", got)
		}
	})
	t.Run("rolling update", func(t *testing.T) {
		before := ns.uids(t, "db-0", "db-1")
		ns.must(t, "set", "env", "statefulset/db", "REVISION=2")
		ns.must(t, "rollout", "status", "statefulset/db", "--timeout=120s")
		for pod, uid := range ns.uids(t, "db-0", "db-1") {
			if uid == before[pod] {
				t.Errorf("%s was not replaced", pod)
			}
		}
		check(t, "a rolling update")
	})
	t.Run("pod deletion", func(t *testing.T) {
		ns.must(t, "delete", "pod", "db-0", "db-1")
		check(t, "their deletion")
	})
	t.Run("fewer and more replicas", func(t *testing.T) {
		ns.must(t, "scale", "statefulset/db", "--replicas=0")
		ns.waitUntilGone(t)
		ns.must(t, "scale", "statefulset/db", "--replicas=2")
		check(t, "their absence")
	})
	t.Run("SIGKILL of the daemon", func(t *testing.T) {
		before := ns.uids(t, "db-0", "db-1")
		i.kill(t)
		if err := i.up(); err != nil {
			t.Fatal(err)
		}
		check(t, "SIGKILL of the daemon")
		for pod, uid := range ns.uids(t, "db-0", "db-1") {
			if restarts := ns.value(t, "pod/"+pod, "{.status.containerStatuses[0].restartCount}"); uid != before[pod] || restarts != "0" {
				t.Errorf("%s was touched: its UID was %s and is %s, it has %s restarts", pod, before[pod], uid, restarts)
			}
		}
	})
	t.Run("stop and start", func(t *testing.T) {
		if err := i.do("stop"); err != nil {
			t.Fatal(err)
		}
		if err := i.up(); err != nil {
			t.Fatal(err)
		}
		check(t, "stop and start")
	})
	t.Run("reset names what it would remove", func(t *testing.T) {
		got := i.run(t, "n\n", "reset")
		want := fmt.Sprintf("The data of these claims is removed for good: %[1]s/data-db-0, %[1]s/data-db-1", ns.name)
		if got.code != 1 || !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, "nothing was removed") {
			t.Errorf("exit code %d, %s", got.code, got.stderr)
		}
	})
}

// psql runs SQL in a database's own container and returns the rows.
func (n namespace) psql(t *testing.T, pod, sql string) string {
	t.Helper()
	return strings.TrimSpace(n.must(t, "exec", pod, "--", "psql", "--quiet", "--tuples-only", "--no-align", "--command="+sql))
}

// waitForDatabase waits until a Pod's database answers.
func (n namespace) waitForDatabase(t *testing.T, pod string) {
	t.Helper()
	eventually(t, func() error {
		if got := n.run(t, "exec", pod, "--", "psql", "--command=SELECT 1"); got.code != 0 {
			return fmt.Errorf("%s does not answer: %s", pod, got.stderr)
		}
		return nil
	})
}

// uids returns the UID of each of the Pods.
func (n namespace) uids(t *testing.T, pods ...string) map[string]string {
	t.Helper()
	uids := map[string]string{}
	for _, pod := range pods {
		uids[pod] = n.value(t, "pod/"+pod, "{.metadata.uid}")
	}
	return uids
}
