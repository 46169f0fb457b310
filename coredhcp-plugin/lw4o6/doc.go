// Package lw4o6 is a plugin for the DHCPv6 side of a coredhcp server: it delegates
// prefixes and hands out softwires, which it has programmed in a lwAFTR first. It
// owns the plugin's configuration file and the life of what runs behind it; package
// server owns what is answered.
//
//	server6:
//	  plugins:
//	    - server_id: LL 00:de:ad:be:ef:00
//	    - lw4o6: /etc/coredhcp/lw4o6.yaml
package lw4o6
