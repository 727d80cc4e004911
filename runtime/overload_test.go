package runtime

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// What the agent does to a Docker that takes long, and while it is asked to stop.

// counts are the lists and creates that the engine was asked for.
func (f *fakeEngine) counts() (lists, creates int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists, f.tries
}

func TestCreateThatTimedOutIsFoundByItsName(t *testing.T) {
	for _, container := range []string{"POD", "app"} {
		t.Run(container, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				timedOut := false
				r.engine.createErr = func(spec docker.ContainerSpec) error {
					if strings.HasPrefix(spec.Name, "k8s_"+container+"_") && !timedOut {
						timedOut = true
						return fmt.Errorf("create container: %w", context.DeadlineExceeded)
					}
					return nil
				}
				before, _ := r.engine.counts()
				r.pod("web", nil)
				r.after(unavailableRetry + 2*retryFirst)
				r.wantState("web", "app", "running 0")
				if lists, _ := r.engine.counts(); lists != before {
					t.Errorf("all containers were listed %d times", lists-before)
				}
			})
		})
	}
}

func TestNameThatDockerStillWorksOnIsNotAskedForEachSecond(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		// As if Docker had kept the name and had not made the container yet.
		taken := true
		r.engine.refuse = func(spec docker.ContainerSpec) error {
			if taken && strings.HasPrefix(spec.Name, "k8s_app_") {
				return fakeConflict(spec.Name)
			}
			return nil
		}
		lists, creates := r.engine.counts()
		r.pod("web", nil)
		r.after(5 * time.Minute)
		listed, tried := r.engine.counts()
		if listed != lists || tried-creates > 15 {
			t.Errorf("%d lists, %d creates in five minutes", listed-lists, tried-creates)
		}
		r.engine.mu.Lock()
		taken = false
		r.engine.mu.Unlock()
		r.after(retryMax + time.Second)
		r.wantState("web", "app", "running 0")
	})
}

func TestStopDoesNotWaitForALongCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.build("models/large:1")
		r.engine.readDelay = time.Second // for each byte
		r.pod("web", withImageVolume("models/large:1", v1.PullIfNotPresent))
		if took, err := r.stopPods(time.Minute); err != nil || took > syncStopTimeout {
			t.Errorf("it took %v, %v", took, err)
		}
	})
}

func TestStopDoesNotWaitForACallThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.startHang = docker.StartTimeout
		r.pod("web", nil)
		if took, _ := r.stopPods(time.Minute); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		r.engine.hanging.Wait()
	})
}

func TestNothingThatIsBeingStartedOutlivesAStop(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.startHang = 20 * time.Second
		r.pod("web", nil)
		if _, err := r.stopPods(time.Minute); err != nil {
			t.Error(err)
		}
		r.engine.hanging.Wait()
		for _, name := range r.engine.names() {
			if strings.Contains(name, "running") {
				t.Errorf("%s after the stop", name)
			}
		}
	})
}

// stopPods stops all Pods within a time, as the daemon does.
func (r *rig) stopPods(within time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	began := time.Now()
	err = r.agent.StopPods(ctx)
	return time.Since(began), err
}

func TestFewContainersAreLaunchedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.startHang = time.Second
		r.pod("web", func(p *v1.Pod) {
			for n := range 3 * maxStarts {
				p.Spec.Containers = append(p.Spec.Containers, app(fmt.Sprintf("c%d", n)))
			}
		})
		r.after(10 * time.Second)
		r.wantState("web", "app", "running 0")
		if most := r.engine.most; most > maxStarts || most < maxStarts/2 {
			t.Errorf("%d were started at once, want %d", most, maxStarts)
		}
	})
}
