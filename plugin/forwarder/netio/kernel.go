package netio

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// warnForwarding logs it if the kernel will not forward what comes out of a TUN
// device. That is not ours to change.
func warnForwarding(log logrus.FieldLogger, name string, side dataplane.Side) {
	value, err := os.ReadFile(fmt.Sprintf("/proc/sys/net/%s/conf/%s/forwarding", side, name))
	if err != nil || !bytes.Equal(bytes.TrimSpace(value), []byte("0")) {
		return // without /proc it cannot be told
	}
	log.WithFields(logrus.Fields{"device": name, "side": side}).
		Warn("IP forwarding is off: the kernel drops what comes out of this device, except for itself")
}

// Flags of struct ethtool_value for ETHTOOL_GFLAGS and ETHTOOL_SFLAGS.
const ethtoolLRO = 1 << 15

type ethtoolValue struct {
	command uint32
	data    uint32
}

// disableLRO switches large receive offload off. What it joins cannot be cut
// again as it was, so the kernel keeps it from packet sockets with PACKET_VNET_HDR.
func disableLRO(name string, log logrus.FieldLogger) error {
	value := ethtoolValue{command: unix.ETHTOOL_GFLAGS}
	if err := ethtool(name, &value); err != nil || value.data&ethtoolLRO == 0 {
		return nil // a device without such flags has no such offload
	}
	value.command = unix.ETHTOOL_SFLAGS
	value.data &^= ethtoolLRO
	if err := ethtool(name, &value); err != nil {
		return fmt.Errorf("switch off large receive offload (ethtool -K %s lro off): %w", name, err)
	}
	log.WithField("device", name).Info("large receive offload switched off")
	return nil
}

// ethtool does one ethtool request.
func ethtool(name string, value *ethtoolValue) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var request struct {
		name  [unix.IFNAMSIZ]byte
		value *ethtoolValue
		_     [16]byte // struct ifreq is longer than what is used of it
	}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	request.value = value
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// kernelTakesUDPSupers reports whether packet sockets send super-packets of UDP
// (Linux 6.2).
func kernelTakesUDPSupers() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 2
}
