package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

func newBackup() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "copy the running router's store to a file",
		Long: "Backup writes everything that outlasts the router, as it is at one moment, to a file that must not\n" +
			"be there yet. The router goes on meanwhile. The file tells by itself whether it is complete.",
		Example: "  lwaftr backup /var/backups/lw4o6.backup",
		Args:    cobra.ExactArgs(1),
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, args []string, c *api.Client) error {
			size, err := writeNew(args[0], func(w io.Writer) error { return c.Backup(ctx, w) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", args[0], size)
			return err
		}),
	}
	t.flags(cmd, 10*time.Minute)
	return cmd
}

// writeNew makes a file that is either complete and durable or not there.
func writeNew(path string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	if err = write(f); err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(path))
	}
	return size, nil
}

func newRestore() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "put a backup in the place of a stopped router's store",
		Long: "Restore puts a backup in the place of the store that the configuration names, whose router must not\n" +
			"run. The backup is checked first; until then the store stays as it is, and afterwards it is kept\n" +
			"beside with the time in its name. Leases that were granted after the backup are lost: their\n" +
			"subscribers' port sets may be given to others before they have gone.",
		Example: "  systemctl stop lwaftr && lwaftr restore /var/backups/lw4o6.backup && systemctl start lwaftr",
		Args:    cobra.ExactArgs(1),
		RunE: action(func(cmd *cobra.Command, args []string) error {
			file, err := plugin.LoadFile(path)
			if err != nil {
				return err
			}
			store := file.Config.Store.Path
			if store == "" {
				return usagef("%s: store.path is empty, so there is nothing to restore to", path)
			}
			return restore(cmd, store, args[0])
		}),
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultFile, "the configuration `FILE`")
	return cmd
}

func restore(cmd *cobra.Command, store, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	old, err := keepOld(store)
	if err != nil {
		return err
	}
	if err := bolt.Restore(cmd.Context(), store, f); err != nil {
		if old != "" {
			err = errors.Join(err, os.Remove(old))
		}
		return fmt.Errorf("%s: %w", from, err)
	}
	if old != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "the old store is %s\n", old)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is restored from %s\n", store, from)
	return err
}

// keepOld gives the store, if there is one, a second name.
func keepOld(store string) (string, error) {
	if _, err := os.Stat(store); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	old := filepath.Join(filepath.Dir(store), filepath.Base(store)+"."+time.Now().UTC().Format("20060102T150405Z"))
	return old, os.Link(store, old)
}
