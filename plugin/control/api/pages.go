package api

import (
	"iter"
	"net/url"
	"strconv"
)

// pages yields the items of all pages.
func pages[T any](q url.Values, get func(url.Values) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q.Set("limit", strconv.Itoa(MaxLimit))
		for {
			items, next, err := get(q)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			q.Set("after", next)
		}
	}
}
