package netlab

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ command, data uint32 }

// ifreq is struct ifreq with a pointer to data.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data *ethtoolValue
	_    [16]byte // struct ifreq is longer than what is used of it
}

// DisableOffload makes the node's kernel send by an interface what would be on a
// wire: packets with checksums, none larger than the MTU.
func (n *Namespace) DisableOffload(iface string) error {
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		const off = 0
		// Without checksums there is no segmentation either, but for UDP.
		for _, command := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_STXCSUM} {
			request := ifreq{data: &ethtoolValue{command, off}}
			copy(request.name[:unix.IFNAMSIZ-1], iface)
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
			if errno != 0 {
				return fmt.Errorf("%s: interface %s: switch off offload %#x: %w", n, iface, command, errno)
			}
		}
		return nil
	})
}
