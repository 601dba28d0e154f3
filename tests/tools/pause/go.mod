module restore-reconciler/tests/tools/pause

go 1.26.0
