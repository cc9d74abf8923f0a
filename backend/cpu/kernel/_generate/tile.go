package main

func (v isa) tiles() {}
