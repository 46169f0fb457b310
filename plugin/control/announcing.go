package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/lwaftr/lw4o6/plugin/announce"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// Announcing is what a router that speaks BGP has besides. No pools are all.
// Errors are those of package announce.
type Announcing interface {
	BGP(ctx context.Context) (api.BGP, error)
	Drain(pools []string) error
	Undrain(pools []string) error
	Release(pools []string) error
}

// handleAnnouncing adds what only a router that speaks BGP has.
func (s *Server) handleAnnouncing(mux *http.ServeMux, handle func(method, path string, parameters []string, f handler)) {
	bgp := s.router.Announcing
	if bgp == nil {
		for _, path := range []string{api.PathBGP, api.PathBGP + "/"} {
			mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
				s.fail(w, r, &api.Error{Status: http.StatusNotImplemented, Message: "this router does not speak BGP: its configuration has no peers"})
			})
		}
		return
	}
	handle(http.MethodGet, api.PathBGP, nil, func(r *http.Request, _ url.Values) (any, error) { return bgp.BGP(r.Context()) })
	for path, f := range map[string]func([]string) error{
		api.PathBGPDrain: bgp.Drain, api.PathBGPUndrain: bgp.Undrain, api.PathBGPRelease: bgp.Release,
	} {
		handle(http.MethodPost, path, nil, func(r *http.Request, _ url.Values) (any, error) {
			var in api.BGPRequest
			if err := decode(r, &in); err != nil {
				return nil, err
			}
			return struct{}{}, announceError(f(in.Pools))
		})
	}
}

// announceError tells a client what it can do about err.
func announceError(err error) error {
	switch {
	case errors.Is(err, announce.ErrPool):
		return &api.Error{Status: http.StatusNotFound, Code: api.CodeUnknown, Message: err.Error()}
	case errors.Is(err, announce.ErrShared):
		return &api.Error{Status: http.StatusConflict, Code: api.CodeTaken, Message: err.Error()}
	case errors.Is(err, announce.ErrState):
		return &api.Error{Status: http.StatusServiceUnavailable, Code: api.CodeStorage, Message: err.Error()}
	}
	return err
}
