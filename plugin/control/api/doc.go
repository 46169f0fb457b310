// Package api owns what is said over the control API: the JSON types, the paths,
// and a client. It is HTTP/1.1 on a unix socket, and with TLS and certificates
// of clients on TCP. All paths begin with the version, and within a version
// keys are only added.
//
//	GET  /v1/health     Health: 200 while the process answers
//	GET  /v1/ready      Health: 503 and the problems unless all is well
//	GET  /v1/status     Status
//	GET  /v1/softwires  SoftwirePage; ?ipv4= ?b4= ?after= ?limit= ?counters=true
//	GET  /v1/counters   Counters
//	GET  /v1/metrics    what Prometheus reads
//	GET  /v1/goroutines what each goroutine of the process does, as text
//	GET  /v1/pools      []Pool
//	GET  /v1/who        Who; ?ipv4= ?port= ?at=
//	GET  /v1/history    HoldPage; ?ipv4= ?port= ?subscriber= ?b4= ?pool= ?from= ?to= ?after= ?limit=
//	POST /v1/trace      TraceRequest -> Trace
//	POST /v1/reload     ReloadResult
//	POST /v1/log        LogRequest -> {}, until the next start or change of log.level
//	POST /v1/resync     {}: reads the data plane back and mends it
//	POST /v1/pcp/reset  {}: has all PCP clients ask for their port sets again
//
// A router that lends port sets has besides
//
//	GET  /v1/leases            LeasePage; ?subscriber= ?ipv4= ?pool= ?mechanism= ?state= ?after= ?limit=
//	POST /v1/leases/offer      LeaseRequest -> Lease, and nothing is changed
//	POST /v1/leases/acquire    LeaseRequest -> Lease, durable and programmed
//	POST /v1/leases/renew      LeaseRequest -> Lease
//	POST /v1/leases/release    LeaseRequest -> {}
//	POST /v1/leases/remove     RemoveRequest -> Lease
//	POST /v1/leases/move       MoveRequest -> Lease
//	POST /v1/leases/reserve    LeaseRequest -> Lease
//	POST /v1/leases/unreserve  Key -> Lease
//	GET  /v1/leases/stream     becomes the protocol of package stream, if asked to upgrade
//	POST /v1/pools/add         PoolRequest -> {}
//	POST /v1/pools/remove      PoolRequest -> {}
//	POST /v1/pools/drain       PoolRequest -> {}
//	POST /v1/backup            the store as a file for restore
//
// Every answer but 200 has an Error as its body. Keys are leaf names of
// RFC 8676 where it has one. Times are RFC 3339, PSIDs right-justified.
package api
