package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// serveRights is a server whose informers run: what RBAC goes by.
func serveRights(t *testing.T, dir string) *testServer {
	t.Helper()
	s := serve(t, dir)
	s.Informers().Start(t.Context().Done())
	s.Informers().WaitForCacheSync(t.Context().Done())
	return s
}

// as is a client of a user whom no certificate is made for.
func (s *testServer) as(t *testing.T, user string) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.ConfigFor(user))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// eventually waits for the informers to see what was written.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func bindingTo(role, user string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + "-" + user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func TestServiceAccountMayDoWhatABindingGrants(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	admin, ctx := s.admin(t), t.Context()
	must[*corev1.ServiceAccount](t)(admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}))
	token := must[*authenticationv1.TokenRequest](t)(admin.CoreV1().ServiceAccounts("default").CreateToken(ctx, "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))
	app := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + s.addr.String(), BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: s.pki.CACertificate()},
	}))
	list := func(namespace string) error {
		_, err := app.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list("default"); !apierrors.IsForbidden(err) {
		t.Errorf("a token without a binding: %v", err)
	}
	if _, err := app.Discovery().ServerGroups(); err != nil {
		t.Errorf("discovery is for everybody: %v", err)
	}
	must[*rbacv1.Role](t)(admin.RbacV1().Roles("default").Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{rule("", "configmaps", "list")}}, metav1.CreateOptions{}))
	must[*rbacv1.RoleBinding](t)(admin.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "app"}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
	}, metav1.CreateOptions{}))
	eventually(t, "the binding grants", func() bool { return list("default") == nil })
	if err := list("kube-system"); !apierrors.IsForbidden(err) {
		t.Errorf("another namespace: %v", err)
	}
}

func TestNobodyGrantsWhatTheyDoNotHave(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	admin, jane, ctx := s.admin(t), s.as(t, "jane"), t.Context()
	rbacs := rule(rbacv1.GroupName, "*", "create", "update")
	must[*rbacv1.ClusterRole](t)(admin.RbacV1().ClusterRoles().Create(ctx, clusterRole("granter", rbacs, rule("", "pods", "get")), metav1.CreateOptions{}))
	must[*rbacv1.ClusterRoleBinding](t)(admin.RbacV1().ClusterRoleBindings().Create(ctx, bindingTo("granter", "jane"), metav1.CreateOptions{}))
	eventually(t, "jane may grant what she has", func() bool {
		_, err := jane.RbacV1().ClusterRoles().Create(ctx, clusterRole("pods", rule("", "pods", "get")), metav1.CreateOptions{})
		return err == nil
	})
	if _, err := jane.RbacV1().ClusterRoles().Create(ctx, clusterRole("secrets", rule("", "secrets", "get")), metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "not currently held") {
		t.Errorf("escalate: %v", err)
	}
	if _, err := jane.RbacV1().ClusterRoleBindings().Create(ctx, bindingTo("cluster-admin", "jane"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("bind: %v", err)
	}
	if _, err := jane.RbacV1().ClusterRoleBindings().Create(ctx, bindingTo("pods", "joe"), metav1.CreateOptions{}); err != nil {
		t.Errorf("bind what she has: %v", err)
	}
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	config := s.adminConfig(t)
	config.Impersonate = rest.ImpersonationConfig{UserName: "jane", Groups: []string{"developers"}}
	jane, ctx := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config)), t.Context()
	who := must[*authenticationv1.SelfSubjectReview](t)(jane.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	if user := who.Status.UserInfo; user.Username != "jane" || !slices.Equal(user.Groups, []string{"developers", "system:authenticated"}) {
		t.Errorf("jane is %+v", user)
	}
	if _, err := jane.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("as jane: %v", err)
	}
	config = s.ConfigFor("joe")
	config.Impersonate = rest.ImpersonationConfig{UserName: "kubernetes-admin", Groups: []string{"system:masters"}}
	joe := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
	if _, err := joe.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "impersonate") {
		t.Errorf("joe impersonates: %v", err)
	}
}

func TestAccessReviews(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	admin, ctx := s.admin(t), t.Context()
	must[*rbacv1.ClusterRole](t)(admin.RbacV1().ClusterRoles().Create(ctx, clusterRole("pods", rule("", "pods", "get")), metav1.CreateOptions{}))
	must[*rbacv1.ClusterRoleBinding](t)(admin.RbacV1().ClusterRoleBindings().Create(ctx, bindingTo("pods", "jane"), metav1.CreateOptions{}))
	may := func(verb string) bool {
		review := must[*authorizationv1.SubjectAccessReview](t)(admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "jane", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: "pods"},
		}}, metav1.CreateOptions{}))
		return review.Status.Allowed
	}
	eventually(t, "jane may get pods", func() bool { return may("get") })
	if may("delete") {
		t.Error("jane may delete pods")
	}
	// kubectl auth can-i --list
	rules := must[*authorizationv1.SelfSubjectRulesReview](t)(s.as(t, "jane").AuthorizationV1().SelfSubjectRulesReviews().Create(ctx,
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}, metav1.CreateOptions{}))
	if text := fmt.Sprint(rules.Status.ResourceRules); !strings.Contains(text, "[get] [] [pods]") || !strings.Contains(text, "selfsubjectreviews") || rules.Status.Incomplete {
		t.Errorf("jane's rules: %+v", rules.Status)
	}
}

func TestDefaultPolicyIsReconciledAtEachStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serveRights(t, dir)
	admin, ctx := s.admin(t).RbacV1(), t.Context()
	for _, name := range []string{"cluster-admin", "view", "system:node", "system:controller:deployment-controller", "system:coredns-is-not-ours"} {
		if _, err := admin.ClusterRoles().Get(ctx, name, metav1.GetOptions{}); (err != nil) != (name == "system:coredns-is-not-ours") {
			t.Errorf("ClusterRole %s: %v", name, err)
		}
	}
	must[*rbacv1.ClusterRole](t)(admin.ClusterRoles().Patch(ctx, "system:basic-user", types.MergePatchType, []byte(`{"rules":[]}`), metav1.PatchOptions{}))
	must[*rbacv1.ClusterRole](t)(admin.ClusterRoles().Patch(ctx, "system:discovery", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}},"rules":[]}`), metav1.PatchOptions{}))
	if err := admin.ClusterRoleBindings().Delete(ctx, "system:kube-scheduler", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the scheduler has lost its rights", func() bool {
		_, err := s.as(t, "system:kube-scheduler").CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		return apierrors.IsForbidden(err)
	})
	s.stop()

	s = serveRights(t, dir)
	admin = s.admin(t).RbacV1()
	if role := must[*rbacv1.ClusterRole](t)(admin.ClusterRoles().Get(ctx, "system:basic-user", metav1.GetOptions{})); len(role.Rules) == 0 {
		t.Error("the rules have not come back")
	}
	if role := must[*rbacv1.ClusterRole](t)(admin.ClusterRoles().Get(ctx, "system:discovery", metav1.GetOptions{})); len(role.Rules) != 0 {
		t.Errorf("autoupdate=false: %v", role.Rules)
	}
	if _, err := s.as(t, "system:kube-scheduler").CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("the scheduler: %v", err)
	}
}

func TestAggregatedRolesAreWholeFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	for name, want := range map[string]string{"view": "[get list watch] [metrics.k8s.io] [nodes pods]", "edit": "pods/log", "admin": "localsubjectaccessreviews"} {
		role := must[*rbacv1.ClusterRole](t)(s.admin(t).RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{}))
		if text := fmt.Sprint(role.Rules); !strings.Contains(text, want) {
			t.Errorf("ClusterRole %s has no %q: %s", name, want, text)
		}
	}
}

func TestDefaultPolicyHoldsBeforeInformersHaveSeenIt(t *testing.T) {
	s := serve(t, t.TempDir()) // informers do not run
	if _, err := s.as(t, "system:kube-scheduler").CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the scheduler: %v", err)
	}
	if _, err := s.as(t, "jane").CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("jane: %v", err)
	}
}

func TestInformersReadWhateverRBACSays(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	admin, ctx := s.admin(t), t.Context()
	if err := admin.RbacV1().ClusterRoleBindings().Delete(ctx, "system:kube-controller-manager", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	manager := s.as(t, "system:kube-controller-manager")
	eventually(t, "the binding is gone", func() bool {
		_, err := manager.CoreV1().Events("default").Create(ctx, &corev1.Event{ObjectMeta: metav1.ObjectMeta{GenerateName: "e"}}, metav1.CreateOptions{})
		return apierrors.IsForbidden(err)
	})
	if _, err := manager.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("the informers: %v", err)
	}
}

func TestNodeAgentMayReadWhatItsPodsNeed(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	admin, agent, ctx := s.admin(t), s.as(t, "system:node:one"), t.Context()
	must[*corev1.Node](t)(agent.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}))
	must[*corev1.ServiceAccount](t)(admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}))
	for _, name := range []string{"used", "other"} {
		must[*corev1.Secret](t)(admin.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	watch, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	pods, err := agent.CoreV1().Pods("").Watch(watch, metav1.ListOptions{FieldSelector: "spec.nodeName=one"})
	if err != nil {
		t.Fatal(err)
	}
	defer pods.Stop()
	eventually(t, "a Pod is admitted", func() bool { // the admission's informer has to see the ServiceAccount
		_, err := admin.CoreV1().Pods("default").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}, Spec: corev1.PodSpec{
			NodeName:   "one",
			Containers: []corev1.Container{{Name: "c", Image: "i", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "used"}}}}}},
		}}, metav1.CreateOptions{})
		return err == nil
	})
	<-pods.ResultChan()
	if _, err := agent.CoreV1().Secrets("default").Get(ctx, "used", metav1.GetOptions{}); err != nil {
		t.Errorf("at once after the Pod came: %v", err)
	}
	if _, err := agent.CoreV1().Secrets("default").Get(ctx, "other", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a Secret that no Pod of the node needs: %v", err)
	}
	for what, patch := range map[string]string{
		"another node's role": `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`,
		"a taint":             `{"spec":{"taints":[{"key":"k","effect":"NoExecute"}]}}`,
	} {
		if _, err := agent.CoreV1().Nodes().Patch(ctx, "one", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("NodeRestriction, %s: %v", what, err)
		}
	}
	if _, err := s.as(t, "system:node:two").CoreV1().Nodes().Patch(ctx, "one", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("NodeRestriction, another node: %v", err)
	}
}

func TestWhoShowsNothingIsAnonymous(t *testing.T) {
	t.Parallel()
	s := serveRights(t, t.TempDir())
	admin, ctx := s.admin(t), t.Context()
	nobody := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(&rest.Config{Host: "https://" + s.addr.String(), TLSClientConfig: rest.TLSClientConfig{CAData: s.pki.CACertificate()}}))
	keys := func() error {
		_, err := nobody.Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(ctx)
		return err
	}
	if err := keys(); !apierrors.IsForbidden(err) {
		t.Errorf("without a binding: %v", err)
	}
	// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
	binding := bindingTo("system:service-account-issuer-discovery", "system:unauthenticated")
	binding.Subjects[0].Kind = rbacv1.GroupKind
	must[*rbacv1.ClusterRoleBinding](t)(admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}))
	eventually(t, "the binding grants", func() bool { return keys() == nil })
}

func TestUnknownTokensAreNobody(t *testing.T) {
	s := serve(t, t.TempDir())
	config := s.ConfigFor("jane")
	config.BearerToken = "guess"
	_, err := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config)).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if status, ok := err.(apierrors.APIStatus); !ok || status.Status().Code != http.StatusUnauthorized {
		t.Errorf("a token that was guessed: %v", err)
	}
}
