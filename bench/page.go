package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	// pagePods are on the dashboard's map, all of them without a node: what runs is no matter of the page.
	pagePods = 1000
	// pageChanges is how many of them change in a second.
	pageChanges = 20
	// pageWindow is how long the page is watched for a sample.
	pageWindow = 10 * time.Second
)

// longestFrame is the longest time between two frames that the browser draws within pageWindow, in ms.
var longestFrame = fmt.Sprintf(`new Promise((done) => {
	let longest = 0, last = performance.now();
	const end = last + %d;
	const frame = (now) => {
		longest = Math.max(longest, now - last);
		last = now;
		now < end ? requestAnimationFrame(frame) : done(longest);
	};
	requestAnimationFrame(frame);
})`, pageWindow.Milliseconds())

func measurePage(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	const chromium = "chromium"
	if _, err := exec.LookPath(chromium); err != nil {
		return nil, "not measured: there is no " + chromium, nil
	}
	err = b.with(ctx, func(i *instance) (err error) {
		if err := i.crowdWithoutNode(ctx, b); err != nil {
			return err
		}
		link, err := i.do(ctx, "dashboard")
		if err != nil {
			return err
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.WindowSize(1440, 900))
		allocated, end := chromedp.NewExecAllocator(ctx, options...)
		defer end()
		tab, cancel := chromedp.NewContext(allocated)
		defer cancel()
		if err := chromedp.Do(tab, chromedp.Navigate(strings.TrimSpace(string(link)))); err != nil {
			return err
		}
		if err := awaitPods(tab); err != nil {
			return err
		}
		changing, stop := context.WithCancel(ctx)
		changed := make(chan error, 1)
		go func() { changed <- i.changePods(changing) }()
		defer func() {
			stop()
			err = errors.Join(err, <-changed)
		}()
		for round := 1; round <= b.rounds; round++ {
			ms, err := chromedp.Run(tab, chromedp.Evaluate[float64](longestFrame, chromedp.EvalAwaitPromise))
			if err != nil {
				return err
			}
			samples = append(samples, ms)
			b.say(round, b.rounds, "%.0f ms", ms)
		}
		return nil
	})
	return samples, fmt.Sprintf("the longest time between two frames in %v, in headless Chromium on the machine of the daemon", pageWindow), err
}

// crowdWithoutNode makes a Deployment whose pods fit on no node.
func (i *instance) crowdWithoutNode(ctx context.Context, b *bench) error {
	d, err := b.deployment(pagePods)
	if err != nil {
		return err
	}
	d.Spec.Template.Spec.NodeSelector = map[string]string{"kube-lite.io/bench": "no-node-has-this"}
	d.Spec.ProgressDeadlineSeconds = ptr.To(int32(time.Hour.Seconds()))
	path, err := i.write(d)
	if err != nil {
		return err
	}
	if _, err := i.do(ctx, "apply", "-f", path); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		pods, err := i.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) == pagePods {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d pods of %d", len(pods.Items), pagePods)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitPods returns when the page has all of them.
func awaitPods(tab context.Context) error {
	for deadline := time.Now().Add(patience); ; {
		there, err := chromedp.Run(tab, chromedp.Evaluate[bool](fmt.Sprintf("/\\b%d pods/.test(document.body.innerText.replaceAll(',', ''))", pagePods)))
		if err != nil || there {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the page does not show the pods")
		}
		if err := sleep(tab, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// changePods changes one after the other until ctx ends.
func (i *instance) changePods(ctx context.Context) error {
	pods, err := i.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for n := 0; sleep(ctx, time.Second/pageChanges) == nil; n++ {
		patch := fmt.Appendf(nil, `{"metadata": {"annotations": {"bench": "%d"}}, "status": {"message": "change %d"}}`, n, n)
		_, err := i.client.CoreV1().Pods(namespace).Patch(context.WithoutCancel(ctx), pods.Items[n%len(pods.Items)].Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			return err
		}
	}
	return nil
}
