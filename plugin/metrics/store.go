package metrics

import (
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// storeFamilies are how leases are made durable.
func storeFamilies() []family {
	stored := func(collect func(store.Stats, emitter)) func(Reading, emitter) {
		return lending(func(s *provision.Stats, e emitter) { collect(s.Store, e) })
	}
	return []family{
		gauge("store_failing", "Whether the last write to the store failed.", nil, stored(func(s store.Stats, e emitter) { e.flag(s.Err != nil) })),
		gauge("store_leases", "Leases in the store, resting ones included.", nil, stored(func(s store.Stats, e emitter) { e.value(float64(s.Leases)) })),
		gauge("store_outbox_events", "Events in the store that wait for the history or the event log.", nil, stored(func(s store.Stats, e emitter) { e.value(float64(s.Outbox)) })),
		counter("store_batches_total", "Batches made durable.", nil, stored(func(s store.Stats, e emitter) { e.value(float64(s.Batches)) })),
		counter("store_transactions_total", "Transactions that made batches durable.", nil, stored(func(s store.Stats, e emitter) { e.value(float64(s.Transactions)) })),
		counter("store_fsyncs_total", "Times that a transaction waited for the disk.", nil, stored(func(s store.Stats, e emitter) { e.value(float64(s.Fsyncs)) })),
		counter("store_failures_total", "Transactions that failed.", nil, stored(func(s store.Stats, e emitter) { e.value(float64(s.Failures)) })),
		{name: "lw4o6_store_write_duration_seconds", help: "How long transactions of the store took.", collect: stored(func(s store.Stats, e emitter) { e.histogram(s.WriteTimes) })},
	}
}

// historyFamilies are the record of who held which ports.
func historyFamilies() []family {
	return []family{
		gauge("history_failing", "Whether the journal of the history could not be emptied.", nil, past(func(s *history.Stats, e emitter) { e.flag(s.Err != nil) })),
		gauge("history_files", "Files of the history besides its journal.", nil, past(func(s *history.Stats, e emitter) { e.value(float64(s.Runs)) })),
		gauge("history_bytes", "Size of these files.", nil, past(func(s *history.Stats, e emitter) { e.value(float64(s.Bytes)) })),
		gauge("history_records", "Records in these files.", nil, past(func(s *history.Stats, e emitter) { e.value(float64(s.Records)) })),
		gauge("history_journal_events", "Events in the journal.", nil, past(func(s *history.Stats, e emitter) { e.value(float64(s.Journal)) })),
	}
}
