module dind

go 1.24

require github.com/docker/docker v28.5.2+incompatible
