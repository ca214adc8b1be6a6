package main

// The fault matrix: what may happen to a relay, and the test that does it. Tests marked «faults» need -tags faults;
// those marked «real» use the services that .ci/services starts and are skipped, with a word, without them. All others of
// this package run on either broker. A row that is not listed here is tested in the package that it concerns.
//
// Every test that accounts for events uses the oracle (oracle_test.go): it knows what was published, writes each receipt
// down before the receiver answers, and says at the end what is missing, what nobody asked for, and what was repeated.
// The auditor (safety_test.go) looks at every commit on the embedded broker before it is stored: what it passes must be
// acknowledged or stand elsewhere, and no commit goes back. load.crashed notes what a crash entitles to be repeated:
// what stands above the committed offsets, once each. load.recovered asks for full recovery without a restart.
//
//	 1  kill -9 at each point of the way of an event   TestRow01_CrashPoints (faults)
//	 2  kill -9 inside a rebalance                     TestRow01_CrashPoints P6 (faults), TestCommitSafety (faults)
//	 3  stopped for longer than its session            TestCommitSafety (faults), TestSoak (faults)
//	 4  a result that comes after the revocation       intake: TestGroup_LateResultAfterRevokeCommitsNothing
//	 5  a partition that leaves and comes back         intake: TestGroup_RebalanceGivesFreshAssignments
//	 6  a member that comes and goes all the time      intake: TestGroup_RebalanceStorm
//	 7  1, many and 1 relays                           TestRow07_ScaleOutAndIn (faults)
//	 8  stop under load, with endpoints that hang      TestRow08_StopWithHungEndpoints (faults), TestStop
//	 9  a second signal, and a kill, while it drains   TestKillWhileDraining
//	10  commits refused                                intake: TestGroup_FailedCommitsAreRepeated
//	11  broker stopped and started                     TestRow11_BrokerRestarted (faults, real), TestKafkaGone
//	12  broker killed                                  TestRow12_BrokerKilled (faults, real), TestFleet (faults, real)
//	13  broker stands still                            TestRow13_BrokerStandsStill (faults)
//	14  the acknowledgement of a write gets lost       TestRow14_AcknowledgementLost (faults)
//	15  retry and diverted topics refuse writes        TestRefusedWrites, TestSilentlyRefusedWrites (faults)
//	16  too large for the retry or diverted topic      TestRow16_TooLargeForTheTopic (faults), divert: TestStore_LargestEvent
//	17  records deleted before they were read          intake: TestGroup_OffsetOutOfRangeHalts, TestGroup_HaltsWhereRecordsAreGone
//	18  the group's offsets are gone                   intake: TestOrigin
//	19  topic deleted and made anew                    intake: TestGroup_RecreatedTopicHalts (faults)
//	20  partitions added                               intake: TestGroup_AddedPartitionsStartAtTheirBeginning
//	21  gaps in the offsets                            intake: TestGroup_GapsCountAsSettled
//	22  a permission is taken away                     TestRow22_PermissionTaken (faults), intake: TestRow22_Refused (faults), TestRow22_CommitRefused
//	25  Redis killed, back empty                       TestRow25_RedisKilled (faults, real), TestRedisGone
//	26  FLUSHALL again and again                       TestRow26_FlushedAgainAndAgain (faults)
//	27  Redis stands still                             TestRow27_RedisStandsStill (faults)
//	28  Redis evicts                                   TestRow28_RedisEvicts (faults, real), divert: TestIndex_EvictedKey
//	30  READONLY, LOADING, OOM                         TestRow30_RedisRefuses (faults)
//	31  subscriptions unreadable at start              TestRow31_SubscriptionsUnreadableAtStart (faults), registry: TestTail_ColdStartGate
//	32  subscriptions stall while events flow          TestRow32_SubscriptionsStall (faults), registry: TestTail_StaleWhenItCannotRead
//	33  an old copy in Redis                           registry: TestJudgeCopy, TestCache_UnusableCopyIsReadFromTheTopicAndRepaired
//	34  a writer that lost its lock and does not know  registry: TestWriter_ZombieIsFencedAndSeesWhatItMissed, TestLock_IsOnlyAdvice
//	35  created here, published at once for another    TestRow35_CreatedThenPublished (faults)
//	36  a damaged subscription                         registry: TestTail_DamagedRecordKeepsTheLastGoodVersion
//	37  a fifth of the endpoints hang                 TestRow37_BacklogWithHangingEndpoints (faults)
//	59  300 000 retries of a dead endpoint             TestRow59_PendingRetries (faults; all of them with RELAY_TEST_FULL=1)
//	60  due while partitions move                      TestRow60_DueDuringRebalance (faults)
//	61  the clock jumps                                retry: TestRow61_ClockJumps, TestRow61_JumpBetweenPolls
//	62  crash after the hand-off                       TestRow01_CrashPoints P4 (faults), TestCrashAfterHandOff (faults)
//	65  deleted with retries pending                   TestRow65_DeletedWhilePending (faults)
//	70  malformed records                              TestRows_Input/TestRow70_MalformedRecords, TestBadRecords
//	71  a million types                                TestRows_Input/TestRow71_ManyTypes (a million with RELAY_TEST_FULL=1)
//	72  10 MiB for 200 webhooks                       TestRow72_LargeEventForManyWebhooks (faults)
//	73  hostile JSON                                   TestRows_Input/TestRow73_HostileJSON, envelope: TestNestingBombs
//	74  one id, several events                         TestRows_Input/TestRow74_SameIDs
//	75  times that cannot be                           TestRows_Input/TestRow75_Timestamps
//	78  no files left                                  TestRow78_NoFilesLeft (faults), outbound: TestRow78_SocketsAreBounded
//	79  killed for its memory                          as 1: TestRow01_CrashPoints (faults), TestKill
//	85a unreadable batches                             intake: TestRow85a_UnreadableBatches
//
// TestSoak (faults) draws all of the above that can be drawn from a seed, for minutes or for nights.
