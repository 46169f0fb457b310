package netio

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// openTUN opens a TUN device with one file descriptor per queue, creating it if
// there is none of that name. A created device goes away with its last
// descriptor. With offload each packet has a vnetHeader before it.
func openTUN(handle *netlink.Handle, name string, queues int, offload bool) (fds []int, err error) {
	_, err = findLink(handle, name)
	exists := err == nil
	if err != nil && !errors.Is(err, ErrNoInterface) {
		return nil, err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if offload {
		flags |= unix.IFF_VNET_HDR
	}
	if queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	for range queues {
		fd, err := openTUNQueue(name, flags)
		if exists && queues == 1 && errors.Is(err, unix.EINVAL) {
			// A device made for several queues is opened as such or not at all.
			fd, err = openTUNQueue(name, flags|unix.IFF_MULTI_QUEUE)
		}
		if err != nil {
			closeAll(fds)
			return nil, tunError(err, exists, queues)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// openTUNQueue opens one queue of a TUN device.
func openTUNQueue(name string, flags uint16) (int, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	// Capabilities are asked for later: here it is the file that is closed.
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return -1, fmt.Errorf("%w (%w)", ErrNoAccess, err)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", tunPath, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil && flags&unix.IFF_VNET_HDR != 0 {
		err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHeaderLen)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setTUNOffload says which super-packets we take from the kernel, and returns
// whether those of UDP are among them (Linux 6.2), in both directions.
func setTUNOffload(fd int) (udp bool, err error) {
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO_ECN
	// The two kinds of UDP are only had together.
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return true, nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp); err != nil {
		return false, fmt.Errorf("set offload: %w", err)
	}
	return false, nil
}

// tunError says in one line why a TUN device could not be opened.
func tunError(err error, exists bool, queues int) error {
	switch {
	case errors.Is(err, ErrNoAccess):
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (%w)", ErrPermission, err)
	case errors.Is(err, unix.EBUSY):
		return ErrBusy
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: load the kernel module tun", err)
	case errors.Is(err, unix.EINVAL) && exists && queues > 1:
		return fmt.Errorf("%w: it is not a tun device with several queues (ip tuntap add mode tun multi_queue)", ErrUnsuitable)
	case errors.Is(err, unix.EINVAL) && exists:
		return fmt.Errorf("%w: it is not a tun device", ErrUnsuitable)
	}
	return err
}
