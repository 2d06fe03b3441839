//! How each floor is reckoned.

/// By the figure's name, for the report.
pub(crate) const FLOORS: [(&str, &str); 33] = [
    (
        "converge_seconds",
        "(puts - 1) / allowance + T(1): puts are those of one region, since each region has a bucket of its own; T(1) is one object alone from the operator's start to Ready, in the same run",
    ),
    (
        "converge_ratio",
        "1; bound: where the puts alone take 30 s, of less the rounding of a second would decide",
    ),
    ("ses_writes_per_domain", "one put a region; two where RejectMessage waits for Success"),
    (
        "ses_reads_per_sweep_ratio",
        "ceil(N/100) GetIdentityMailFromDomainAttributes + ceil(N/1000) ListEmailIdentities for each time that all identities were read",
    ),
    (
        "sweeps_at_rest",
        "no floor; bound: time / (0.9 resync) + 1, for the pace of each object is jittered by a tenth, and the window may cut a sweep in two",
    ),
    (
        "route53_reads_at_rest",
        "no floor; bound: as often the pages of all record sets, 300 each, and ceil(zones/100) pages of zones an hour",
    ),
    (
        "unseen_at_rest",
        "0: every identity of every region has been read meanwhile, and as many pages as hold all record sets; bound: where the time is a resync and a tenth",
    ),
    (
        "alone_seconds",
        "no floor: it is T(1); bound: INSYNC, SES's first look, two polls and 2 s, and where a second put follows what lies between two puts",
    ),
    ("culprit_others_ready_seconds", "(puts - 1) / allowance; bound: half as much again"),
    (
        "dns_queries_per_object_and_resync",
        "0: while SES says Success there is nothing to ask the DNS",
    ),
    ("aws_writes_at_rest", "0: what has converged is put and changed no more"),
    ("api_writes_at_rest", "0: no status, no Event; the lease is not counted"),
    (
        "api_writes_per_object",
        "no floor; bound: one finalizer, two Events, and a status ahead of the records, ahead of each put, for Pending and for Ready",
    ),
    (
        "route53_writes_per_domain",
        "per zone the larger of ceil(values/1000) and ceil(characters/32000), of the values that stand in the end; bound of one zone: 0.01, or one batch",
    ),
    (
        "route53_reads_per_domain",
        "ceil(zones/100) pages of zones and one List for each zone, before anything is published; bound: besides, the pages of each resync but the first in which names were due again, or of each at all where it is shortened",
    ),
    ("getchange_per_batch", "one poll that finds INSYNC"),
    (
        "restart_seconds",
        "the slowest bucket: ceil(N/100)/SES allowance, ceil(N/1000)/SES allowance, or (pages of 300 record sets + pages of 100 zones)/Route 53 allowance",
    ),
    (
        "restart_ratio",
        "1: restart_seconds of its floor, or less where few calls decide, for the first waits for none; bound: with 10,000 objects",
    ),
    (
        "restart_unseen",
        "0: within twice the time that one call for each object takes, and 30 s, every identity of every region has been read, and as many pages as hold all record sets",
    ),
    ("restart_aws_writes", "0: what has converged is put and changed no more"),
    ("restart_status_writes", "0: each status says already what is seen again"),
    ("restart_events", "0: nothing has happened"),
    (
        "rss_peak_restart_bytes",
        "no floor; the peak of an operator started anew: its caches fill from the pages of a list, as with a relist, which takes in pages the same way, over what is held",
    ),
    ("dns_path_seconds", "(Route 53 calls of the floor - 1) / Route 53 allowance"),
    ("dns_path_route53_calls", "reads of one empty zone and the batches for what was written"),
    (
        "route53_extra_calls_per_culprit",
        "no floor; bound: two where the message names the culprit, else 2 ceil(log2 batch); not measured, and so over, where the refused batch changes fewer than 170 names: a full one has 186",
    ),
    ("throttled_share", "0 as the sole user; bound: a hundredth beside another client"),
    (
        "shared_time_ratio",
        "1: converge_seconds beside another client, of those of one-zone with as many objects in the same benchmark; bound: 2.2, for half of the quota is the other's",
    ),
    ("interactive_unseen", "0: a call to AWS names the identity of each person's change"),
    (
        "other_client_share",
        "no floor: it asks for half of every quota, evenly, and what it is granted is counted, of puts or of Route 53, whichever is less",
    ),
    (
        "culprit_retries",
        "none where the message names it; bound: as many as the operator's schedule holds, from when it was refused alone to the end of the run: the pause is 5 s and doubles, so the kth is due after 5 (2^k - 1) s",
    ),
    (
        "route53_extra_calls_per_culprit_and_sweep",
        "none: no sweep brings it back; its retries by itself are culprit_retries",
    ),
    (
        "rss_steady_bytes",
        "no floor; the mean of samples that are 10 s apart, with a scrape each 30 s, since what a scrape takes is given back some seconds later; 25 MiB with 100 objects, 33 with 1,000, 60 with 10,000, and on the lines between those; the peak may be 30 MiB above",
    ),
];
