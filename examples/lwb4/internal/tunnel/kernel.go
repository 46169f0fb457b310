package tunnel

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/forwarder/netio"
)

// ErrNoKernelTunnel reports a kernel without ip6tnl devices.
var ErrNoKernelTunnel = errors.New("the kernel has no IPv4-in-IPv6 tunnels (module ip6_tunnel)")

// Kernel is a tunnel that the kernel runs. What is sent through it is not seen here,
// so the AFTR's errors about it are not believed: Config.Unbound is never called.
type Kernel struct {
	name   string
	handle *netlink.Handle
}

// Flags of linux/ip6_tunnel.h.
const (
	ignoreEncapLimit = 0x1  // send no tunnel encapsulation limit option
	copyTrafficClass = 0x2  // from the inner header to the outer one
	copyDSCP         = 0x10 // from the outer header to the inner one
)

// OpenKernel makes a tunnel device of the kernel. The error wraps
// ErrNoKernelTunnel where there are none.
func OpenKernel(c Config) (*Kernel, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	handle, err := netio.OpenNetlink()
	if err != nil {
		return nil, err
	}
	err = handle.LinkAdd(link(c))
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		err = ErrNoKernelTunnel
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: run as root", err)
	case errors.Is(err, unix.EEXIST):
		err = fmt.Errorf("%w: another device or tunnel is in its place", err)
	}
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("device %s: %w", c.Name, err)
	}
	k := &Kernel{name: c.Name, handle: handle}
	// The kernel's tunnels do not fragment behind the encapsulation, so here
	// the inner packet has to fit.
	if err := configure(handle, c, c.MTU-headerLen); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// link is the device to ask for.
func link(c Config) *netlink.Ip6tnl {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = c.Name
	return &netlink.Ip6tnl{
		LinkAttrs: attrs,
		Local:     c.Ends.B4.AsSlice(),
		Remote:    c.Ends.BR.AsSlice(),
		Ttl:       c.HopLimit,
		Proto:     unix.IPPROTO_IPIP,
		// The packet to the AFTR has no room and no need for the option, and
		// hardware on the way often sends packets with one to its slow path.
		Flags: ignoreEncapLimit | copyTrafficClass | copyDSCP,
	}
}

// Use does nothing: what is from other ports does not get through the NAT.
func (k *Kernel) Use(assign.Ports) {}

// Run waits for ctx to end and returns nil: the kernel does the work.
func (k *Kernel) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Stats is empty: the kernel counts on the device.
func (k *Kernel) Stats() Stats { return Stats{} }

// Close removes the device.
func (k *Kernel) Close() error {
	defer k.handle.Close()
	device, err := k.handle.LinkByName(k.name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil // somebody else removed it
	}
	if err == nil {
		err = k.handle.LinkDel(device)
	}
	if err != nil {
		return fmt.Errorf("device %s: remove: %w", k.name, err)
	}
	return nil
}
