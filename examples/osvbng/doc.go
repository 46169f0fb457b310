// Copyright 2026 The lw4o6 Authors
// SPDX-License-Identifier: GPL-3.0-or-later

// Package osvbng makes the lwAFTR a plugin of osvbng, a broadband network gateway
// on VPP. It owns what osvbng asks of a plugin: a registration by name, typed
// configuration, show handlers, and metrics of osvbng's own kind.
//
// Importing it registers the plugin Namespace. It is a module of its own because
// it links osvbng, which is under the GPL-3.0-or-later, and so is this package;
// what it makes a plugin of is not.
package osvbng
