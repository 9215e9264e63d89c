# The three words that a build machine knows. Everything else is cargo, scripts/test and kubectl.
IMAGE ?= 192.168.2.100:5000/ha-sync:latest

.PHONY: build docker-build docker-push

build:
	cargo build --release --locked --bins

docker-build:
	docker build --tag $(IMAGE) .

docker-push:
	docker push $(IMAGE)
