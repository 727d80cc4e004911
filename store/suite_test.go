package store

import (
	"context"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// TestSuite runs the conformance suite of storage.Interface, all of its RunTest… functions. What differs from etcd's run
// of it, and why:
//
//   - Functions that break what is stored by swapping the transformer reload the resource then, see suiteStore.
//   - RunTestWatchDispatchBookmarkEvents expects bookmarks, as the watch cache's run does: there is none above us.
//   - RunWatchSemantics gives an event 150 ms to arrive, which is not enough on a busy machine: see promptStore.
//   - The list functions get no check of how often etcd is called, as there is no etcd; nor do RunBenchmark… functions
//     belong here, see bench_test.go.
func TestSuite(t *testing.T) {
	plain := map[string]func(context.Context, *testing.T, storage.Interface){
		"CreateWithTTL":                              storagetesting.RunTestCreateWithTTL,
		"CreateWithKeyExist":                         storagetesting.RunTestCreateWithKeyExist,
		"Get":                                        storagetesting.RunTestGet,
		"UnconditionalDelete":                        storagetesting.RunTestUnconditionalDelete,
		"ConditionalDelete":                          storagetesting.RunTestConditionalDelete,
		"DeleteWithSuggestion":                       storagetesting.RunTestDeleteWithSuggestion,
		"DeleteWithSuggestionAndConflict":            storagetesting.RunTestDeleteWithSuggestionAndConflict,
		"DeleteWithConflict":                         storagetesting.RunTestDeleteWithConflict,
		"DeleteWithSuggestionOfDeletedObject":        storagetesting.RunTestDeleteWithSuggestionOfDeletedObject,
		"ValidateDeletionWithSuggestion":             storagetesting.RunTestValidateDeletionWithSuggestion,
		"ValidateDeletionWithOnlySuggestionValid":    storagetesting.RunTestValidateDeletionWithOnlySuggestionValid,
		"PreconditionalDeleteWithSuggestion":         storagetesting.RunTestPreconditionalDeleteWithSuggestion,
		"PreconditionalDeleteWithOnlySuggestionPass": storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass,
		"ListPaging":                                 storagetesting.RunTestListPaging,
		"GetListRecursivePrefix":                     storagetesting.RunTestGetListRecursivePrefix,
		"NamespaceScopedList":                        storagetesting.RunTestNamespaceScopedList,
		"KeySchema":                                  storagetesting.RunTestKeySchema,
		"GuaranteedUpdateWithTTL":                    storagetesting.RunTestGuaranteedUpdateWithTTL,
		"GuaranteedUpdateWithConflict":               storagetesting.RunTestGuaranteedUpdateWithConflict,
		"GuaranteedUpdateWithSuggestionAndConflict":  storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict,
		"Watch":                              storagetesting.RunTestWatch,
		"DeleteTriggerWatch":                 storagetesting.RunTestDeleteTriggerWatch,
		"WatchFromNonZero":                   storagetesting.RunTestWatchFromNonZero,
		"DelayedWatchDelivery":               storagetesting.RunTestDelayedWatchDelivery,
		"WatchContextCancel":                 storagetesting.RunTestWatchContextCancel,
		"WatcherTimeout":                     storagetesting.RunTestWatcherTimeout,
		"WatchDeleteEventObjectHaveLatestRV": storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV,
		"WatchInitializationSignal":          storagetesting.RunTestWatchInitializationSignal,
		"ClusterScopedWatch":                 storagetesting.RunTestClusterScopedWatch,
		"NamespaceScopedWatch":               storagetesting.RunTestNamespaceScopedWatch,
		"OptionalWatchBookmarksWithCorrectResourceVersion": storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion,
		"SendInitialEventsBackwardCompatibility":           storagetesting.RunSendInitialEventsBackwardCompatibility,
		"WatchSemanticInitialEventsExtended":               storagetesting.RunWatchSemanticInitialEventsExtended,
		"WatchListMatchSingle":                             storagetesting.RunWatchListMatchSingle,
	}
	for name, run := range plain {
		t.Run(name, func(t *testing.T) { run(t.Context(), t, newSuiteStore(t, Options{})) })
	}
	transformed := map[string]func(context.Context, *testing.T, storagetesting.InterfaceWithPrefixTransformer){
		"GuaranteedUpdateChecksStoredData":  storagetesting.RunTestGuaranteedUpdateChecksStoredData,
		"ListResourceVersionMatch":          storagetesting.RunTestListResourceVersionMatch,
		"TransformationFailure":             storagetesting.RunTestTransformationFailure,
		"WatchError":                        storagetesting.RunTestWatchError,
		"WatchErrorIsBlockingFurtherEvents": storagetesting.RunWatchErrorIsBlockingFurtherEvents,
	}
	for name, run := range transformed {
		t.Run(name, func(t *testing.T) { run(t.Context(), t, newSuiteStore(t, Options{})) })
	}
	special := map[string]func(context.Context, *testing.T, *suiteStore){
		"Create": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestCreate(ctx, t, s, s.checkStored)
		},
		"GuaranteedUpdate": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestGuaranteedUpdate(ctx, t, s, s.checkStored)
		},
		"List": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestList(ctx, t, s, s.compact, false, nil)
		},
		"ConsistentList": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestConsistentList(ctx, t, s, s.increaseRV, false, true, false)
		},
		"GetListNonRecursive": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestGetListNonRecursive(ctx, t, s.increaseRV, s)
		},
		"ListContinuation": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestListContinuation(ctx, t, s, nil)
		},
		"ListPaginationRareObject": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestListPaginationRareObject(ctx, t, s, nil)
		},
		"ListContinuationWithFilter": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestListContinuationWithFilter(ctx, t, s, nil)
		},
		"ListInconsistentContinuation": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestListInconsistentContinuation(ctx, t, s, s.compact)
		},
		"CompactRevision": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestCompactRevision(ctx, t, s, s.increaseRV, s.compact)
		},
		"Stats": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestStats(ctx, t, s, s.config.Codec, s.config.Transformer, false)
		},
		"StatsWithSizes": func(ctx context.Context, t *testing.T, s *suiteStore) {
			if err := s.EnableResourceSizeEstimation(nil); err != nil {
				t.Fatal(err)
			}
			storagetesting.RunTestStats(ctx, t, s, s.config.Codec, s.config.Transformer, true)
		},
		"WatchFromZero": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestWatchFromZero(ctx, t, s, s.compact)
		},
		"WatchDispatchBookmarkEvents": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, s, true)
		},
		"WatchSemantics": func(ctx context.Context, t *testing.T, s *suiteStore) {
			storagetesting.RunWatchSemantics(ctx, t, &promptStore{suiteStore: s})
		},
		"WatchWithUnsafeDelete": func(ctx context.Context, t *testing.T, s *suiteStore) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, true)
			storagetesting.RunTestWatchWithUnsafeDelete(ctx, t, s)
		},
	}
	for name, run := range special {
		t.Run(name, func(t *testing.T) { run(t.Context(), t, newSuiteStore(t, Options{})) })
	}
	t.Run("ProgressNotify", func(t *testing.T) {
		s := newSuiteStore(t, Options{BookmarkInterval: 10 * time.Millisecond})
		storagetesting.RunOptionalTestProgressNotify(t.Context(), t, s, s.increaseRV)
	})
}
