package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The fault matrix: what may happen to a relay, and the test that does it. Tests marked «faults» need -tags faults;
// those marked «real» use the services that .ci/services starts and are skipped, with a word, without them. All others of
// this package run on either broker. Tests of other packages have the package in front: TestRows_AreTested holds the list
// against the repository.
//
// Every test that accounts for events uses the oracle (oracle_test.go): it knows what was published, writes each receipt
// down before the receiver answers, and says at the end what is missing, what nobody asked for, and what was repeated.
// The auditor (safety_test.go) looks at every commit, on the embedded broker before it is stored: what it passes must be
// acknowledged or stand elsewhere, and no commit goes back. load.crashed notes what a crash entitles to be repeated:
// what stands above the committed offsets, once each. load.recovered asks for full recovery without a restart.
//
//	 1  kill -9 at each point of the way of an event   TestRow01_CrashPoints (faults)
//	 2  kill -9 inside a rebalance                     TestRow01_CrashPoints P6 (faults), TestCommitSafety (faults)
//	 3  stopped for longer than its session            TestCommitSafety (faults), TestSoak (faults)
//	 4  a result that comes after the revocation       intake: TestGroup_LateResultAfterRevokeCommitsNothing
//	 5  a partition that leaves and comes back         intake: TestGroup_RebalanceGivesFreshAssignments
//	 6  a member that comes and goes all the time      TestRow06_RebalanceStorm (faults), intake: TestGroup_RebalanceStorm
//	 7  1, many and 1 relays                           TestRow07_ScaleOutAndIn (faults)
//	 8  stop under load, with endpoints that hang      TestRow08_StopWithHungEndpoints (faults), TestStop
//	 9  a second signal, and a kill, while it drains   TestRow09_SecondSignal (faults), TestKillWhileDraining
//	10  commits refused                                intake: TestGroup_FailedCommitsAreRepeated
//	11  broker stopped and started                     TestRow11_BrokerRestarted (faults, real), TestKafkaGone
//	12  broker killed                                  TestRow12_BrokerKilled (faults, real), TestFleet (faults, real)
//	13  broker stands still                            TestRow13_BrokerStandsStill (faults)
//	14  the acknowledgement of a write gets lost       TestRow14_AcknowledgementLost (faults)
//	15  retry and diverted topics refuse writes        TestRefusedWrites, TestSilentlyRefusedWrites (faults)
//	16  too large for the retry or diverted topic      TestRow16_TooLargeForTheTopic (faults), divert: TestStore_LargestEvent
//	17  records deleted before they were read          TestRow17_RecordsDeletedBeforeTheyWereRead (faults), intake: TestGroup_OffsetOutOfRangeHalts, TestGroup_HaltsWhereRecordsAreGone
//	18  the group's offsets are gone                   intake: TestOrigin
//	19  topic deleted and made anew                    intake: TestGroup_RecreatedTopicHalts (faults)
//	20  partitions added                               TestRow20_PartitionsAdded (faults), intake: TestGroup_AddedPartitionsStartAtTheirBeginning
//	21  gaps in the offsets                            TestRow21_AbortedTransactions (faults), intake: TestGroup_GapsCountAsSettled
//	22  a permission is taken away                     TestRow22_PermissionTaken (faults), intake: TestRow22_Refused (faults), TestRow22_CommitRefused
//	25  Redis killed, back empty                       TestRow25_RedisKilled (faults, real), TestRedisGone
//	26  FLUSHALL again and again                       TestRow26_FlushedAgainAndAgain (faults)
//	27  Redis stands still                             TestRow27_RedisStandsStill (faults)
//	28  Redis evicts                                   TestRow28_RedisEvicts (faults, real), divert: TestIndex_EvictedKey
//	30  READONLY, LOADING, OOM                         TestRow30_RedisRefuses (faults)
//	31  subscriptions unreadable at start              TestRow31_SubscriptionsUnreadableAtStart (faults), registry: TestTail_ColdStartGate
//	32  subscriptions stall while events flow          TestRow32_SubscriptionsStall (faults), registry: TestTail_StaleWhenItCannotRead
//	33  an old copy in Redis                           registry: TestJudgeCopy, TestCache_UnusableCopyIsReadFromTheTopicAndRepaired
//	34  a writer that lost its lock and does not know  TestRow34_WriterStandsStill (faults), registry: TestWriter_ZombieIsFencedAndSeesWhatItMissed, TestLock_IsOnlyAdvice
//	35  created here, published at once for another    TestRow35_CreatedThenPublished (faults)
//	36  a damaged subscription                         registry: TestTail_DamagedRecordKeepsTheLastGoodVersion, TestTail_KeysOfNoOneAndUnknownKinds
//	37  an endpoint hangs                              TestRows_HostileReceivers (faults), intake: TestFairness, TestFairness_ManyHang; many: TestRow37_BacklogWithHangingEndpoints (faults)
//	38  a byte at a time                               TestRows_HostileReceivers (faults), outbound: TestOneDeadlineCoversEverything
//	39  never reads                                    TestRows_HostileReceivers (faults), outbound: TestReceiverThatNeverReadsTimesOut
//	40  refused and reset connections                  TestRows_HostileReceivers (faults), outbound: TestResetConnections, TestRefusedConnection
//	41  closed instead of a response                   TestRows_HostileReceivers (faults), outbound: TestTruncatedResponses
//	42  closed while idle                              TestRows_HostileReceivers (faults), outbound: TestReceiverThatClosesIdleConnections, TestClosedBeforeTheFirstByteOfAPooledConnection, TestReplacedOnlyOnce
//	43  HTTP/2 frames                                  outbound: TestRow43_HTTP2Frames, TestRow43_OneStreamAtATime
//	44  responses without end or sense                 TestRows_HostileReceivers (faults), outbound: TestHostileResponses, TestHTTP2Bounds
//	45  compressed bombs                               TestRows_HostileReceivers (faults), outbound: TestRow45_Bombs
//	46  redirects                                      TestRows_HostileReceivers (faults), outbound: TestRow46_Redirects
//	47  TLS                                            outbound: TestTLS, TestTLSToAPlainReceiver, TestStalledHandshakeTimesOut, TestClientCertificate
//	48  name servers                                   outbound: TestRow48_NameServers, TestRow48_AThousandAddresses, TestOneAnswerProvesTheResolver
//	49  a name that is bound anew                      outbound: TestRow49_ServerThatChangesItsMind, TestRebinding, TestControlIsTheSecondNet
//	50  a public and a private address                 outbound: TestNamesThatPointInsideAreBlocked
//	51  429 with every form of Retry-After             deliver: TestDispatcher_Throttle, outbound: TestRetryAfter
//	52  503 with Retry-After, 502, 504                 deliver: TestDispatcher_Throttle
//	53  410 once and twice                             deliver: TestDispatcher_GoneTwiceSuspendsBeforeItDiverts, TestDivertAndBack
//	54  4xx for ever                                   deliver: TestRow54_ClientErrorsForEver
//	55  an endpoint that flaps                         breaker: TestBreaker_FlappingEndpoint
//	56  an open breaker costs no attempts              deliver: TestDispatcher_ForcedOpenForAnHour, TestDispatcher_OpenBreakerCostsNoAttempt
//	57  a probe that ends badly                        deliver: TestDispatcher_ProbeThatEndsBadly, breaker: TestBreaker_PanickingProbeReleasesTheSlot, TestBreaker_ForgottenProbeIsGivenUpAfterItsLease
//	58  many relays, one endpoint dies                 TestRow58_OneEndpointDies (faults), advice: TestFleet_OneProbeInEachOpenTime
//	59  300 000 retries of a dead endpoint             TestRow59_PendingRetries (faults; all of them with RELAY_TEST_FULL=1)
//	60  due while partitions move                      TestRow60_DueDuringRebalance (faults)
//	61  the clock jumps                                retry: TestRow61_ClockJumps, TestRow61_JumpBetweenPolls
//	62  crash after the hand-off                       TestRow01_CrashPoints P4 (faults), TestCrashAfterHandOff (faults)
//	63  suspended in flight, and during the drain      TestRow63_SuspendedAndBack (faults), divert: TestFaults_SuspendDuringDrain
//	65  deleted with retries pending                   TestRow65_DeletedWhilePending (faults); edited: TestPendingRetries_UseTheEndpointAsItIsNow (faults)
//	66  resends race with each other and with deletes  TestRow66_ResendsRace (faults), divert: TestFaults_ResendHundredfold, TestFaults_ResendAgainstDelete
//	67  crashes of the divert store                    TestRow67_CrashesOfTheDivertStore (faults), divert: TestFaults_DiesAfterResend, TestFaults_DiesBeforeIndexing, TestFaults_DiesWhileRebuilding
//	69  compaction between list and read               divert: TestFaults_CompactionBetweenListAndRead
//	70  malformed records                              TestRows_Input/TestRow70_MalformedRecords, TestBadRecords
//	71  a million types                                TestRows_Input/TestRow71_ManyTypes (a million with RELAY_TEST_FULL=1)
//	72  the largest events for many webhooks           TestRow72_LargeEventForManyWebhooks (faults), intake: TestGroup_PausesWhenFullAndResumes, TestWindow_FullUntilLowWater
//	73  hostile JSON                                   TestRows_Input/TestRow73_HostileJSON, envelope: TestNestingBombs
//	74  one id, several events                         TestRows_Input/TestRow74_SameIDs
//	75  times that cannot be                           TestRows_Input/TestRow75_Timestamps
//	77  header injection                               TestRow77_HeaderInjection (faults), outbound: TestHeadersThatMustNotBeWritten
//	78  no files left                                  TestRow78_NoFilesLeft (faults), outbound: TestRow78_SocketsAreBounded
//	79  killed for its memory                          as 1: TestRow01_CrashPoints (faults), TestKill
//	85a unreadable batches                             intake: TestRow85a_UnreadableBatches
//
// TestSoak (faults) draws all of the above that can be drawn from a seed, for minutes or for nights.

// rowsToSurvive are the rows that must have a test.
const rowsToSurvive = `1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 25 26 27 28 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45
	46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 65 66 67 69 70 71 72 73 74 75 77 78 79 85a`

// TestRows_AreTested: each row of the list above names tests, and each of them exists. The rows that are tested inside a
// table of subtests name the function in front of the slash.
func TestRows_AreTested(t *testing.T) {
	text, err := os.ReadFile("rows_test.go")
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^//\t *(\d+a?) +(.*)$`)
	name := regexp.MustCompile(`\bTest\w+`)
	listed := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, listed, m[1], "row %s stands twice", m[1])
		listed[m[1]] = name.FindAllString(strings.ReplaceAll(m[2], "/TestRow", "/"), -1)
	}
	exist := testFunctions(t, "../..")
	for _, number := range strings.Fields(rowsToSurvive) {
		require.NotEmpty(t, listed[number], "row %s has no test", number)
	}
	for number, tests := range listed {
		for _, test := range tests {
			require.Contains(t, exist, test, "row %s", number)
		}
	}
}

// testFunctions are the test functions below a directory, whatever their build tags.
func testFunctions(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = true
			}
		}
		return nil
	}))
	return found
}
