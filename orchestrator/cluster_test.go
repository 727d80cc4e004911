package orchestrator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestEveryNamespaceGetsAServiceAccountAndTheRootCA(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ns := c.namespace("shop")
	eventually(t, func() error {
		if _, err := c.client.CoreV1().ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
			return err
		}
		root, err := c.client.CoreV1().ConfigMaps(ns).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !strings.Contains(root.Data["ca.crt"], "BEGIN CERTIFICATE") {
			return fmt.Errorf("ca.crt is %q", root.Data["ca.crt"])
		}
		return nil
	})
}

func TestTokenSecretIsFilledAndGoesWithItsServiceAccount(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	_, err := c.client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{})
	fatal(t, err)
	secrets := c.client.CoreV1().Secrets("default")
	_, err = secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "robot-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	fatal(t, err)
	eventually(t, func() error {
		secret, err := secrets.Get(t.Context(), "robot-token", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(secret.Data["token"]) == 0 || len(secret.Data["ca.crt"]) == 0 || string(secret.Data["namespace"]) != "default" {
			return fmt.Errorf("the Secret has %d entries", len(secret.Data))
		}
		return nil
	})
	fatal(t, c.client.CoreV1().ServiceAccounts("default").Delete(t.Context(), "robot", metav1.DeleteOptions{}))
	eventually(t, func() error {
		if _, err := secrets.Get(t.Context(), "robot-token", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Secret is still there (%v)", err)
		}
		return nil
	})
}

func TestAQuotaRefusesInUpstreamsWords(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	_, err := c.client.CoreV1().ResourceQuotas("default").Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/configmaps": resource.MustParse("2")}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	eventually(t, func() error {
		quota, err := c.client.CoreV1().ResourceQuotas("default").Get(t.Context(), "few", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if used := quota.Status.Used["count/configmaps"]; used.String() != "1" { // kube-root-ca.crt
			return fmt.Errorf("used %+v", quota.Status.Used)
		}
		return nil
	})
	create := func(name string) error {
		_, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	}
	fatal(t, create("one"))
	err = create("two")
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: few, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2") {
		t.Errorf("the third ConfigMap: %v", err)
	}
}

func TestACronJobThatMissedHoursStartsOneJob(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	// Ten minutes ago, in each hour of the last eight days: more than the hundred times that upstream counts.
	now := time.Now()
	tick := now.Add(-10 * time.Minute)
	cron := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "hourly"},
		Spec: batchv1.CronJobSpec{
			Schedule: fmt.Sprintf("%d * * * *", tick.Minute()), Suspend: new(true),
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: exiting("0")}},
		},
	}
	crons := c.client.BatchV1().CronJobs("default")
	cron, err := crons.Create(t.Context(), cron, metav1.CreateOptions{})
	fatal(t, err)
	cron.Status.LastScheduleTime = &metav1.Time{Time: tick.Add(-200 * time.Hour)}
	cron, err = crons.UpdateStatus(t.Context(), cron, metav1.UpdateOptions{})
	fatal(t, err)
	cron.Spec.Suspend = new(false)
	_, err = crons.Update(t.Context(), cron, metav1.UpdateOptions{})
	fatal(t, err)
	eventually(t, func() error { return c.hasEvent("hourly", "too many missed start times") })
	eventually(t, func() error {
		cron, err := crons.Get(t.Context(), "hourly", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if last := cron.Status.LastScheduleTime; cron.Status.LastSuccessfulTime == nil || now.Sub(last.Time) > time.Hour {
			return fmt.Errorf("status %+v", cron.Status)
		}
		return nil
	})
	jobs, err := c.client.BatchV1().Jobs("default").List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	if len(jobs.Items) != 1 {
		t.Errorf("%d jobs, want one for the latest time alone", len(jobs.Items))
	}
}

func TestMetricsOfTheLoopsAreServedOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	_, err := c.client.AppsV1().Deployments("default").Create(t.Context(), deployment(1, "echo:1"), metav1.CreateOptions{})
	fatal(t, err)
	rolledOut(t, c.client, "default", "1")
	text, err := c.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	fatal(t, err)
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		`workqueue_adds_total{name="deployment"}`, `workqueue_adds_total{name="replicaset"}`,
		`scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"}`,
	} {
		found := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, want+" ") })
		if len(found) != 1 {
			t.Errorf("%s is there %d times", want, len(found))
		}
	}
}
