module github.com/lwaftr/lw4o6

go 1.26.8
