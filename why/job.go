package why

import (
	"cmp"
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func (l *look) job(j *batchv1.Job) links {
	at := Object{"Job", j.Namespace, j.Name}
	pods := l.podsOf(j.Namespace, j.UID)
	for _, c := range j.Status.Conditions {
		if c.Status != v1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return links{well(at, "is complete")}
		case batchv1.JobFailed, batchv1.JobFailureTarget: // the latter comes first, while pods are counted and end
			return l.failedJob(at, j, c, pods)
		}
	}
	switch {
	case j.DeletionTimestamp != nil:
		return links{l.ending(at, j)}
	case ptr.Deref(j.Spec.Suspend, false):
		return links{broken(at, "is suspended, so it has no pods").seen("spec.suspend: true").
			mended(l.command(j.Namespace, `patch job/%s --type=merge -p '{"spec":{"suspend":false}}'`, j.Name))}
	case j.Status.StartTime == nil && j.Spec.ManagedBy == nil:
		return links{waiting(at, "is new, and its controller has not looked at it yet")}
	}
	if len(pods) == 0 {
		first := waiting(at, "has no pod, and should have %d", ptr.Deref(j.Spec.Parallelism, 1))
		return append(links{first}, l.refusals(at, j, "FailedCreate")...)
	}
	first := waiting(at, "%d of %d done, %s at work, %d failed; it gives up after %s",
		j.Status.Succeeded, ptr.Deref(j.Spec.Completions, 1), podsCount(j.Status.Active), j.Status.Failed, count(ptr.Deref(j.Spec.BackoffLimit, 6)+1, "failure"))
	below := l.worstPod(pods)
	if below.well() {
		return links{first}
	}
	return append(links{first}, below...)
}

func podsCount(n int32) string { return count(n, "pod") }

// failedJob says by which limit a Job ended, and what its last pod died of.
func (l *look) failedJob(at Object, j *batchv1.Job, c batchv1.JobCondition, pods []*v1.Pod) links {
	evidence := "condition " + string(c.Type) + ", " + c.Reason + ": " + c.Message
	var first Link
	switch c.Reason {
	case batchv1.JobReasonBackoffLimitExceeded:
		failed := j.Status.Failed
		if uncounted := j.Status.UncountedTerminatedPods; uncounted != nil {
			failed += int32(len(uncounted.Failed))
		}
		first = broken(at, "has failed: its pods failed %s, and its backoffLimit is %d", times(failed), ptr.Deref(j.Spec.BackoffLimit, 6))
	case batchv1.JobReasonDeadlineExceeded:
		first = broken(at, "has failed: it was not done within its activeDeadlineSeconds, %d", ptr.Deref(j.Spec.ActiveDeadlineSeconds, 0)).
			mended(note(l.command(at.Namespace, "replace --force -f FILE"), "with a longer activeDeadlineSeconds: that of a Job cannot be changed"))
	default:
		first = broken(at, "has failed: %s", c.Message)
	}
	first = first.seen(evidence)
	slices.SortFunc(pods, func(a, b *v1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	for _, p := range pods {
		if found := l.pod(p); found.state() == Broken {
			return append(links{first}, found...)
		}
	}
	if first.Mend == "" {
		first = first.mended(note(l.command(at.Namespace, "replace --force -f FILE"), "once what it does is mended: a failed Job does not start again"))
	}
	return links{first}
}

// times is "once", "3 times".
func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return count(n, "time")
}

func (l *look) cronJob(c *batchv1.CronJob) links {
	at := Object{"CronJob", c.Namespace, c.Name}
	if c.DeletionTimestamp != nil {
		return links{l.ending(at, c)}
	}
	if ptr.Deref(c.Spec.Suspend, false) {
		return links{broken(at, "is suspended, so it starts no Jobs").seen("spec.suspend: true").
			mended(l.command(c.Namespace, `patch cronjob/%s --type=merge -p '{"spec":{"suspend":false}}'`, c.Name))}
	}
	next, known := l.nextRun(c)
	if known && next.IsZero() {
		return links{broken(at, "its schedule %s names a time that never comes", quote(c.Spec.Schedule)).
			mended(l.command(c.Namespace, `patch cronjob/%s --type=merge -p '{"spec":{"schedule":"0 3 * * *"}}'`, c.Name))}
	}
	first := well(at, "its schedule is %s", quote(c.Spec.Schedule))
	if known {
		first.Sentence += "; the next Job is due at " + next.Format(time.RFC3339)
	}
	if refused := l.refusals(at, c, "FailedCreate"); len(refused) > 0 {
		first.State = Waiting
		return append(links{first}, refused...)
	}
	if job := l.latestJob(c); job != nil {
		return led(first, l.job(job))
	}
	if missed := l.events(c.Namespace, c.UID, "MissSchedule", "TooManyMissedTimes", "UnparseableSchedule", "UnknownTimeZone"); len(missed) > 0 {
		return links{broken(at, "no Job was started when one was due: %s", firstLine(missed[0].Message)).seen(l.eventLines(1, missed)...)}
	}
	return links{first}
}

// nextRun is when a CronJob is due; zero means never.
func (l *look) nextRun(c *batchv1.CronJob) (next time.Time, known bool) {
	schedule, err := cron.ParseStandard(c.Spec.Schedule)
	if err != nil {
		return time.Time{}, false
	}
	at := l.opts.Now()
	if zone := ptr.Deref(c.Spec.TimeZone, ""); zone != "" {
		place, err := time.LoadLocation(zone)
		if err != nil {
			return time.Time{}, false
		}
		at = at.In(place)
	}
	return schedule.Next(at), true
}

func (l *look) latestJob(c *batchv1.CronJob) *batchv1.Job {
	all, ok := listOf(l, "jobs", c.Namespace, l.client.BatchV1().Jobs(c.Namespace))
	if !ok {
		return nil
	}
	var jobs []*batchv1.Job
	for n := range all.Items {
		if metav1.IsControlledBy(&all.Items[n], c) {
			jobs = append(jobs, &all.Items[n])
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	return slices.MaxFunc(jobs, func(a, b *batchv1.Job) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}
