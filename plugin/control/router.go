package control

import (
	"context"
	"errors"
	"net/http"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// ErrUnsupported is wrapped by the errors of a Router that cannot do what was
// asked for with its data plane.
var ErrUnsupported = errors.New("not supported by this data plane")

// ErrNoHistory reports a Router that does not record who held which ports.
var ErrNoHistory = errors.New("no history is kept; set store.path in the configuration")

// Router is what the control API shows and orders. Its methods may be called
// from several goroutines.
type Router struct {
	Status   Statuser
	Table    Table
	Counters Counters
	Problems Problems
	Tracer   Tracer
	Reloader Reloader
	Resyncer Resyncer
	History  History
	Metrics  http.Handler // answers scrapes
	Log      Leveler
	// Lending is nil in a router that lends no port sets.
	Lending *Lending
	// PCP is nil in a router that does not serve it.
	PCP PCPResetter
	// Announcing is nil in a router that does not speak BGP.
	Announcing Announcing
}

// PCPResetter has all PCP clients ask for their port sets again.
type PCPResetter interface {
	ResetPCP(ctx context.Context) error
}

// Statuser describes the router.
type Statuser interface {
	Status(ctx context.Context) (api.Status, error)
	Pools(ctx context.Context) ([]api.Pool, error)
}

// Table is the binding table; *softwire.Table is one.
type Table interface {
	Snapshot() *softwire.Snapshot
}

// Counters reads what the data plane counted.
type Counters interface {
	Counters(ctx context.Context) (api.Counters, error)
	// EachSoftwire calls visit with the counters of those of keys, each there
	// once, that the data plane counts by, and where in keys each one is. The key
	// of counters is that of the softwire, or its address without ports if they
	// are those of all softwires on the address.
	EachSoftwire(ctx context.Context, keys []softwire.Key, visit func(i int, c dataplane.SoftwireCounters)) error
}

// Problems knows which softwires the data plane does not have.
type Problems interface {
	// Problem says why the data plane has not taken the softwire of key, or
	// nothing if it has, or was not asked yet.
	Problem(key softwire.Key) string
}

// Tracer says what would happen to a packet. The error wraps ErrUnsupported if
// the data plane cannot tell.
type Tracer interface {
	Trace(ctx context.Context, side dataplane.Side, packet []byte) (api.Trace, error)
}

// Reloader reads the configuration again. Each error of the tree under an error
// of errors.Join is a detail of its own.
type Reloader interface {
	Reload(ctx context.Context) (api.ReloadResult, error)
}

// History says who held which ports when: a view has everything that was
// granted or ended before it was asked for. The caller closes it. The error
// wraps ErrNoHistory.
type History interface {
	View(ctx context.Context) (*history.View, error)
}

// Resyncer asks for the data plane to be read back and mended. It does not wait.
type Resyncer interface {
	Resync()
}

// Leveler changes what is logged. The error is for whoever asked.
type Leveler interface {
	SetLogLevel(level string) error
}
