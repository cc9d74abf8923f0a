package main

func (v isa) transcendental() {}
